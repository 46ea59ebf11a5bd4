//! The capabilities of a container: a default set, added to and dropped from.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Capabilities;

/// What containers have unless told otherwise.
const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// Every capability, by the kernel's numbers.
const ALL: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Bit sets of the agent's own, as `/proc/self/status` shows them.
pub fn own_bounding_set() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(u64::MAX)
}

/// The names, with `CAP_`, that a container gets. Of all capabilities only
/// those in `bounding` exist: nobody can give what the agent itself lacks.
pub fn of_container(
    asked: Option<&Capabilities>,
    privileged: bool,
    bounding: u64,
) -> BTreeSet<String> {
    let exists = |name: &str| {
        ALL.iter()
            .position(|known| *known == name)
            .is_some_and(|bit| bounding >> bit & 1 == 1)
    };
    let mut names: BTreeSet<String> = if privileged {
        ALL.iter()
    } else {
        DEFAULT.iter()
    }
    .map(|s| (*s).to_owned())
    .collect();
    if let Some(asked) = asked.filter(|_| !privileged) {
        let plain = |list: &Option<Vec<String>>| -> Vec<String> {
            list.iter()
                .flatten()
                .map(|name| name.to_uppercase().trim_start_matches("CAP_").to_owned())
                .collect()
        };
        let (add, drop) = (plain(&asked.add), plain(&asked.drop));
        if add.iter().any(|name| name == "ALL") {
            names.extend(ALL.iter().map(|s| (*s).to_owned()));
        }
        if drop.iter().any(|name| name == "ALL") {
            names.clear();
        }
        names.extend(add.into_iter().filter(|name| name != "ALL"));
        names.retain(|name| !drop.contains(name));
    }
    names
        .iter()
        .filter(|name| exists(name))
        .map(|name| format!("CAP_{name}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(names: &BTreeSet<String>) -> u64 {
        names
            .iter()
            .map(|name| {
                1 << ALL
                    .iter()
                    .position(|known| format!("CAP_{known}") == *name)
                    .unwrap()
            })
            .sum()
    }

    fn with(add: &[&str], drop: &[&str]) -> u64 {
        let list = |names: &[&str]| Some(names.iter().map(|s| (*s).to_owned()).collect());
        bits(&of_container(
            Some(&Capabilities {
                add: list(add),
                drop: list(drop),
            }),
            false,
            u64::MAX,
        ))
    }

    #[test]
    fn defaults_are_those_of_containerd() {
        assert_eq!(bits(&of_container(None, false, u64::MAX)), 0xa804_25fb);
    }

    #[test]
    fn capabilities_are_added_and_dropped_by_name() {
        assert_eq!(with(&["NET_ADMIN"], &["MKNOD"]), 0xa004_35fb);
        assert_eq!(with(&[], &["ALL"]), 0);
        assert_eq!(with(&["NET_BIND_SERVICE"], &["ALL"]), 1 << 10);
    }

    #[test]
    fn nobody_gets_what_the_agent_lacks() {
        let names = of_container(None, true, 0x1ff_feff_ffff);
        assert_eq!(bits(&names), 0x1ff_feff_ffff);
    }
}

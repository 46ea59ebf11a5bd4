//! skiff as a service of this machine: what it is called, and systemd's commands.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// Where `skiff install` puts the binary.
pub const BINARY: &str = "/usr/local/bin/skiff";

/// Where the Debian package has it.
pub const PACKAGED_BINARY: &str = "/usr/bin/skiff";

/// The one that `skiff upgrade` replaced, which it keeps beside the new one.
pub fn kept_beside(binary: &Path) -> PathBuf {
    let mut name = OsString::from(binary);
    name.push(".old");
    name.into()
}

/// Where an administrator's units are; those of packages are in [`PACKAGED_UNITS`].
pub const UNITS: &str = "/etc/systemd/system";
pub const PACKAGED_UNITS: &str = "/lib/systemd/system";

/// What a machine is for its cluster; at most one of these at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Server and node in one.
    Up,
    /// A server, which runs no pods.
    Server,
    /// A node of a cluster whose server is elsewhere.
    Agent,
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Up, Self::Server, Self::Agent];

    /// The command that the service runs.
    pub fn command(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Server => "server",
            Self::Agent => "agent",
        }
    }

    pub fn unit(self) -> &'static str {
        match self {
            Self::Up => "skiff-up.service",
            Self::Server => "skiff-server.service",
            Self::Agent => "skiff-agent.service",
        }
    }

    pub fn unit_text(self) -> &'static str {
        match self {
            Self::Up => include_str!("../../deploy/systemd/skiff-up.service"),
            Self::Server => include_str!("../../deploy/systemd/skiff-server.service"),
            Self::Agent => include_str!("../../deploy/systemd/skiff-agent.service"),
        }
    }

    /// What starts it on a machine with OpenRC.
    pub fn openrc_text(self) -> String {
        include_str!("../../deploy/openrc/skiff.initd").replace("@ROLE@", self.command())
    }

    /// Whether the Debian package brought the unit.
    pub fn is_packaged(self) -> bool {
        Path::new(PACKAGED_UNITS).join(self.unit()).exists()
    }

    /// The unit as `skiff install` writes it.
    pub fn unit_path(self) -> PathBuf {
        Path::new(UNITS).join(self.unit())
    }

    /// Whether the system below `root` starts it by itself.
    pub fn is_linked_in(self, root: &Path) -> bool {
        root.join(self.link()).symlink_metadata().is_ok()
    }

    /// The link that makes it start with the machine, below `/`.
    pub fn link(self) -> PathBuf {
        let wants = Path::new(UNITS).join("multi-user.target.wants");
        let wants = wants.strip_prefix("/").unwrap_or(&wants);
        wants.join(self.unit())
    }
}

/// What starts services on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    Systemd,
    OpenRc,
    Other,
}

impl Init {
    pub fn of_this_machine() -> Self {
        if sd_notify::booted().unwrap_or(false) {
            Self::Systemd
        } else if Path::new("/sbin/openrc-run").exists() {
            Self::OpenRc
        } else {
            Self::Other
        }
    }
}

/// Runs `systemctl`, which waits until what was asked is done.
pub fn systemctl(args: &[&str]) -> anyhow::Result<String> {
    let asked = || format!("systemctl {}", args.join(" "));
    let output = Command::new("systemctl")
        .args(args)
        .output()
        .with_context(asked)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{}: {}", asked(), said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// One property of a unit; nothing where systemd does not know it.
pub fn property(unit: &str, name: &str) -> String {
    systemctl(&["show", "--property", name, "--value", unit]).unwrap_or_default()
}

/// What the service logged last, newest at the end.
pub fn last_log_lines(unit: &str) -> String {
    let output = Command::new("journalctl")
        .args(["--no-pager", "--lines=20", "--output=cat", "--unit", unit])
        .output();
    output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_run_what_is_installed_with_the_installed_configuration() {
        for role in Role::ALL {
            let text = role.unit_text();
            let run = format!(
                "ExecStart={BINARY} {} --config {}\n",
                role.command(),
                crate::config_file::PATH
            );
            assert!(text.contains(&run), "{text}");
            for line in ["Type=notify\n", "KillMode=process\n", "Restart=always\n"] {
                assert!(text.contains(line), "{line} in {text}");
            }
            let others = Role::ALL.into_iter().filter(|other| *other != role);
            for other in others {
                assert!(text.contains(other.unit()), "{text}");
            }
        }
    }

    #[test]
    fn openrc_runs_the_same() {
        let text = Role::Agent.openrc_text();
        assert!(
            text.contains("agent --config /etc/skiff/config.yaml"),
            "{text}"
        );
        assert!(!text.contains('@'), "{text}");
    }
}

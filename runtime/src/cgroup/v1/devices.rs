//! The device rules of a v1 group: one line a rule.

use std::fs;
use std::io::Write;
use std::path::Path;

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use crate::Result;
use crate::cgroup::failed;

/// In the spec's order; each write is one rule.
pub fn apply(dir: &Path, rules: &[LinuxDeviceCgroup]) -> Result<()> {
    let open = |name: &str| {
        let path = dir.join(name);
        let file = fs::OpenOptions::new().write(true).open(&path);
        file.map_err(|e| failed("open the cgroup file", &path, e))
    };
    let (mut allow, mut deny) = (open("devices.allow")?, open("devices.deny")?);
    for rule in rules {
        let (file, name) = match rule.allow() {
            true => (&mut allow, "devices.allow"),
            false => (&mut deny, "devices.deny"),
        };
        let written = file.write_all(device_rule(rule).as_bytes());
        written.map_err(|e| failed("write the cgroup file", &dir.join(name), e))?;
    }
    Ok(())
}

/// `c 1:3 rwm`; `a` for all.
fn device_rule(rule: &LinuxDeviceCgroup) -> String {
    let kind = match rule.typ().unwrap_or(LinuxDeviceType::A) {
        LinuxDeviceType::B => "b",
        LinuxDeviceType::C | LinuxDeviceType::U => "c",
        _ => return "a".into(),
    };
    let number = |n: Option<i64>| n.filter(|n| *n >= 0).map_or("*".into(), |n| n.to_string());
    let access = rule
        .access()
        .as_deref()
        .filter(|a| !a.is_empty())
        .unwrap_or("rwm");
    format!(
        "{kind} {}:{} {access}",
        number(rule.major()),
        number(rule.minor())
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::LinuxDeviceCgroupBuilder;

    #[test]
    fn a_device_rule_names_any_number_by_a_star() {
        let rule = LinuxDeviceCgroupBuilder::default()
            .allow(true)
            .typ(LinuxDeviceType::C)
            .major(136i64);
        assert_eq!(device_rule(&rule.build().unwrap()), "c 136:* rwm");
    }

    #[test]
    fn a_rule_without_type_is_about_all_devices() {
        let rule = LinuxDeviceCgroupBuilder::default()
            .allow(false)
            .access("rwm");
        assert_eq!(device_rule(&rule.build().unwrap()), "a");
    }
}

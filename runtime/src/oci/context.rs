//! What all commands are told: where containers are, where errors go.

use std::path::PathBuf;

use super::error::OrRefuse;
use super::flags::{Flag, Flags, switch, value};
use super::log::{Level, Log};
use super::{Refusal, Result};

/// The flags before the command.
pub const FLAGS: &[Flag] = &[
    value(&["root"], "dir", "where the state of containers is kept"),
    value(
        &["log"],
        "file",
        "where errors are written (default: /dev/stderr)",
    ),
    value(&["log-format"], "format", "text (default) or json"),
    switch(&["debug"], "log more"),
    switch(
        &["systemd-cgroup"],
        "take cgroupsPath for slice:prefix:name, and ask systemd",
    ),
    value(
        &["rootless"],
        "when",
        "false or auto: control groups are never done without",
    ),
    value(&["criu"], "path", "ignored: there is no checkpoint"),
    switch(&["help", "h"], "show this"),
    switch(&["version", "v"], "print the version"),
];

const ROOT: &str = "/run/skiff-oci";

#[derive(Debug)]
pub struct Context {
    /// What we were called as.
    pub name: String,
    pub root: PathBuf,
    pub uses_systemd: bool,
    pub log: Log,
}

impl Context {
    pub fn new(name: &str, flags: &Flags) -> Result<Self> {
        let log = Log::open(
            flags.value("log"),
            flags.value("log-format"),
            flags.has("debug"),
        )?;
        let root = flags.value("root").filter(|r| !r.is_empty());
        let root = root.unwrap_or(ROOT);
        check_rootless(flags.value("rootless"))?;
        if flags.has("criu") {
            log.write(Level::Warning, "--criu is ignored: there is no checkpoint");
        }
        Ok(Self {
            name: name.to_owned(),
            // What changes its directory later still finds it.
            root: std::path::absolute(root).or_refuse(|| format!("the root {root}"))?,
            uses_systemd: flags.has("systemd-cgroup"),
            log,
        })
    }
}

/// runc, where it is true, goes on without groups that it may not make; here none are left out.
fn check_rootless(when: Option<&str>) -> Result<()> {
    // The words that Go takes for false.
    match when {
        None | Some("" | "auto" | "0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(()),
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Err(Refusal::Usage(
            "--rootless true is not supported: a container has its control group or is not made; leave it out".into(),
        )),
        Some(other) => Err(Refusal::Usage(format!(
            "invalid value {other:?} for --rootless: true, false or auto"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_without_groups_are_refused_and_what_is_no_word_too() {
        assert!(check_rootless(None).is_ok());
        assert!(check_rootless(Some("auto")).is_ok());
        assert!(check_rootless(Some("false")).is_ok());
        assert!(check_rootless(Some("true")).is_err());
        assert!(check_rootless(Some("perhaps")).is_err());
    }
}

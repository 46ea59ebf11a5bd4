//! What all commands are told: where containers are, where errors go.

use std::path::PathBuf;

use super::Result;
use super::flags::{Flag, Flags, switch, value};
use super::log::Log;

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
    value(&["rootless"], "when", "true, false or auto; ignored"),
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
        Ok(Self {
            name: name.to_owned(),
            root: PathBuf::from(root.unwrap_or(ROOT)),
            uses_systemd: flags.has("systemd-cgroup"),
            log,
        })
    }
}

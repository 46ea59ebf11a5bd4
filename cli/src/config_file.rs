//! The configuration file: flags of `skiff up`, `server` and `agent`, a line each.
//!
//! A key is a flag's own name, so there is one list of settings: clap's. The
//! file's lines are put into the command line before it is parsed; what stands
//! on the real command line, or in the environment, wins. So a value from the
//! file is checked as one from the command line is, by the same words.

#[cfg(test)]
mod docs;
pub mod edit;
pub mod flags;
mod read;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use clap::error::ContextKind;

pub use read::ConfigFile;

/// Where an installed skiff has its file.
pub const PATH: &str = "/etc/skiff/config.yaml";

/// The commands that read the file.
pub const COMMANDS: [&str; 3] = ["up", "server", "agent"];

/// The flag that names the file.
#[derive(Args, Clone, Debug)]
pub struct ConfigFlag {
    /// File that sets flags, a line `flag: value` each; those given here win
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// A command line, with what its file says put in.
pub struct Line {
    pub args: Vec<OsString>,
    pub file: Option<ConfigFile>,
}

/// Puts what the file says into the command line, where that names a file.
pub fn expand(args: Vec<OsString>, skiff: &clap::Command) -> anyhow::Result<Line> {
    let Some((command, rest)) = command_of(&args) else {
        return Ok(Line { args, file: None });
    };
    let given = Given::read(&args[rest..]);
    let Some(path) = given.file(&args).filter(|_| !given.wants_help) else {
        return Ok(Line { args, file: None });
    };
    let file = ConfigFile::read(&path, command, skiff)?;
    let mut all = args[..rest].to_vec();
    for (flag, values) in file.values() {
        if given.names.contains(&flag.name) || flag.is_in_environment() {
            continue;
        }
        all.extend(values.iter().map(|value| flag.argument(value).into()));
    }
    all.extend_from_slice(&args[rest..]);
    Ok(Line {
        args: all,
        file: Some(file),
    })
}

/// The command whose flags the file may set, and where they begin.
fn command_of(args: &[OsString]) -> Option<(&str, usize)> {
    let word = |n: usize| args.get(n).and_then(|arg| arg.to_str());
    let (command, rest) = match word(1)? {
        "install" => (word(2)?, 3),
        other => (other, 2),
    };
    COMMANDS.contains(&command).then_some((command, rest))
}

/// What a command line itself says.
///
/// No flag of these commands takes a value that begins with two dashes, and
/// none may be abbreviated: a look at each word tells which are given.
pub struct Given {
    pub names: BTreeSet<String>,
    config: Option<PathBuf>,
    root: Option<PathBuf>,
    wants_help: bool,
}

impl Given {
    pub fn read(args: &[OsString]) -> Self {
        let mut given = Self {
            names: BTreeSet::new(),
            config: None,
            root: None,
            wants_help: false,
        };
        for (n, arg) in args.iter().map(|arg| arg.to_string_lossy()).enumerate() {
            let Some(flag) = arg.strip_prefix("--") else {
                given.wants_help |= arg == "-h" || arg == "-V";
                continue;
            };
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.into())),
                None => (flag, args.get(n + 1).map(PathBuf::from)),
            };
            given.note(name, value);
        }
        given
    }

    fn note(&mut self, name: &str, value: Option<PathBuf>) {
        match name {
            "config" => self.config = value,
            "root" => self.root = value,
            "help" | "version" => self.wants_help = true,
            _ => {}
        }
        self.names.insert(name.to_owned());
    }

    /// The file that is meant. Installing begins with the one that is installed;
    /// else there is none unless it is named, so that a second skiff on this
    /// machine does not take over what the first one's says.
    fn file(&self, args: &[OsString]) -> Option<PathBuf> {
        if self.config.is_some() {
            return self.config.clone();
        }
        let is_install = args.get(1).is_some_and(|arg| arg == "install");
        let installed = installed_path(self.root.as_deref());
        (is_install && installed.exists()).then_some(installed)
    }
}

/// The installed file of the system below `root`.
pub fn installed_path(root: Option<&std::path::Path>) -> PathBuf {
    match root {
        None => PATH.into(),
        Some(root) => root.join(PATH.trim_start_matches('/')),
    }
}

/// Where the installed skiff of this machine keeps its data, if its file says.
pub fn installed_data_dir() -> Option<PathBuf> {
    let text = std::fs::read_to_string(PATH).ok()?;
    let settings: serde_yaml::Mapping = serde_yaml::from_str(&text).ok()?;
    settings.get("data-dir")?.as_str().map(PathBuf::from)
}

impl Line {
    /// Where a mistake comes from, if it is the file's.
    pub fn source_of(&self, mistake: &clap::Error) -> Option<String> {
        let file = self.file.as_ref()?;
        let names = mistake.get(ContextKind::InvalidArg)?.to_string();
        let is_named = |name: &str| {
            let words = names.split(|c: char| !(c.is_alphanumeric() || c == '-'));
            words
                .filter_map(|word| word.strip_prefix("--"))
                .any(|word| word == name)
        };
        let (flag, _) = file
            .values()
            .iter()
            .find(|(flag, _)| is_named(&flag.name))?;
        Some(format!("{} is set in {}", flag.name, file.path.display()))
    }
}

/// This process's own command line, with its file's settings put in.
pub fn own(skiff: &clap::Command) -> anyhow::Result<Line> {
    expand(std::env::args_os().collect(), skiff).context("read the configuration")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use std::os::unix::fs::PermissionsExt;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    /// What `skiff COMMAND --config FILE ARGS` is turned into, from its flags on.
    fn expanded(command: &str, text: &str, args: &[&str]) -> Result<Vec<String>, String> {
        let file = file(text);
        let path = file.path().to_str().unwrap();
        let given = [&["skiff", command, "--config", path], args].concat();
        let given = given.iter().map(OsString::from).collect();
        let line = expand(given, &crate::command_line()).map_err(|e| format!("{e:#}"))?;
        let args = line.args.iter().map(|arg| arg.to_str().unwrap().to_owned());
        Ok(args.skip(2).filter(|arg| arg != path).collect())
    }

    #[test]
    fn lines_of_the_file_become_flags() {
        let text = "secure-port: 7000\nanonymous-auth: false\napi-audiences: [a, b]\n\
                    node-name: web\nencryption-provider-config-automatic-reload: true\n";
        let args = expanded("up", text, &[]).unwrap();
        assert_eq!(
            args,
            [
                "--secure-port=7000",
                "--anonymous-auth=false",
                "--api-audiences=a",
                "--api-audiences=b",
                "--node-name=web",
                "--encryption-provider-config-automatic-reload",
                "--config",
            ]
        );
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let text = "secure-port: 7000\nmax-pods: 5\n";
        let args = expanded("up", text, &["--secure-port", "8000"]).unwrap();
        assert_eq!(args, ["--max-pods=5", "--config", "--secure-port", "8000"]);
    }

    #[test]
    fn what_a_command_requires_may_stand_in_the_file() {
        let file = file("server: https://10.0.0.1:6443\n");
        let path = file.path().to_str().unwrap();
        let given = ["skiff", "agent", "--config", path];
        let line = expand(
            given.iter().map(OsString::from).collect(),
            &crate::command_line(),
        )
        .unwrap();
        assert!(crate::Skiff::try_parse_from(line.args).is_ok());
    }

    #[test]
    fn unknown_keys_are_refused_with_the_nearest_known_one() {
        let error = expanded("server", "secure_port: 7000\n", &[]).unwrap_err();
        assert!(
            error.contains("\"secure_port\"") && error.contains("secure-port"),
            "{error}"
        );
        let error = expanded("server", "token: x\n", &[]).unwrap_err();
        assert!(error.contains("skiff agent"), "{error}");
        let error = expanded("server", "config: x\n", &[]).unwrap_err();
        assert!(error.contains("\"config\""), "{error}");
    }

    #[test]
    fn what_is_no_list_of_settings_is_refused() {
        for text in [
            "- a\n",
            "x",
            "secure-port: {a: 1}\n",
            "secure-port:\n",
            "secure-port: [1, 2]\n",
            "secure-port: 1\nsecure-port: 2\n",
            "1: 2\n",
            "encryption-provider-config-automatic-reload: often\n",
        ] {
            let error = expanded("server", text, &[]);
            assert!(error.is_err(), "{text}: {error:?}");
        }
        assert_eq!(
            expanded("server", "# nothing\n", &[]).unwrap(),
            ["--config"]
        );
    }

    #[test]
    fn a_file_with_secrets_is_refused_where_others_may_read_it() {
        let file = file("server: https://a\ntoken: x\n");
        let read = |mode| {
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(file.path(), mode).unwrap();
            ConfigFile::read(file.path(), "agent", &crate::command_line())
        };
        let error = format!("{:#}", read(0o644).err().unwrap());
        assert!(
            error.contains("token") && error.contains("chmod 600"),
            "{error}"
        );
        assert!(read(0o600).is_ok());
    }

    #[test]
    fn a_value_that_is_wrong_is_traced_to_the_file() {
        let file = file("secure-port: seven\n");
        let path = file.path().to_str().unwrap();
        let given = ["skiff", "server", "--config", path];
        let line = expand(
            given.iter().map(OsString::from).collect(),
            &crate::command_line(),
        )
        .unwrap();
        let mistake = crate::Skiff::try_parse_from(&line.args).err().unwrap();
        let source = line.source_of(&mistake).unwrap();
        assert!(source.starts_with("secure-port is set in /"), "{source}");
    }

    #[test]
    fn a_file_is_read_only_where_it_is_named() {
        for args in [
            &["skiff", "up"][..],
            &["skiff", "get", "--config", "x"],
            &["skiff"],
        ] {
            let line = expand(
                args.iter().map(OsString::from).collect(),
                &crate::command_line(),
            );
            assert!(line.unwrap().file.is_none());
        }
    }
}

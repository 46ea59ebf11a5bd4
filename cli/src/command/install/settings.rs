//! The installed settings: what stood in the file, with what is given now.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Arg, ArgMatches};

use crate::config_file::edit::{self, Setting};
use crate::config_file::flags::{self, Flag, Takes};
use crate::config_file::{self, Given};
use crate::service::Role;

pub struct Settings {
    /// The file as it is to be.
    pub text: String,
    pub data_dir: PathBuf,
    secrets: Vec<String>,
}

impl Settings {
    pub fn of_this_command_line(role: Role) -> anyhow::Result<Self> {
        Self::of(role, std::env::args_os().collect())
    }

    fn of(role: Role, args: Vec<OsString>) -> anyhow::Result<Self> {
        let skiff = crate::command_line();
        let given = Given::read(&args);
        let line = config_file::expand(args, &skiff)?;
        let matches = skiff.clone().try_get_matches_from(&line.args)?;
        let matches = of_role(&matches, role).context("these are the flags of skiff install")?;
        let known = flags::of(&skiff, role.command());
        let args = skiff.find_subcommand(role.command());
        let args = args.context("every role is a command")?;
        let named = |flag: &&Flag| given.names.contains(&flag.name) || flag.is_in_environment();
        let settings = known.iter().filter(named).map(|flag| {
            let arg = args
                .get_arguments()
                .find(|arg| arg.get_long() == Some(&flag.name));
            let arg = arg.context("every flag is an argument of its command")?;
            setting(flag, arg, matches)
        });
        let settings = settings.collect::<anyhow::Result<Vec<Setting>>>()?;
        let before = line.file.map_or_else(|| header(role), |file| file.text);
        let data_dir = matches.get_one::<PathBuf>("data_dir").cloned();
        let secrets = known.into_iter().filter(|flag| flag.is_secret);
        Ok(Self {
            text: edit::set(&before, &settings).context("change the configuration file")?,
            data_dir: data_dir.context("--data-dir has a default")?,
            secrets: secrets.map(|flag| flag.name).collect(),
        })
    }

    /// The text as it may be shown.
    pub fn without_secrets(&self, text: &str) -> String {
        let shown = text.lines().map(|line| {
            let key = line.split(':').next().unwrap_or_default().trim();
            if self.secrets.iter().any(|secret| secret == key) {
                format!("{key}: (not shown)\n")
            } else {
                format!("{line}\n")
            }
        });
        shown.collect()
    }
}

fn of_role(matches: &ArgMatches, role: Role) -> Option<&ArgMatches> {
    let install = matches.subcommand_matches("install")?;
    install.subcommand_matches(role.command())
}

fn setting(flag: &Flag, arg: &Arg, matches: &ArgMatches) -> anyhow::Result<Setting> {
    if flag.takes == Takes::Nothing {
        let is_set = matches.get_flag(arg.get_id().as_str());
        return Ok(Setting::of(&flag.name, vec![is_set.to_string()], false));
    }
    let is_path = arg.get_value_parser().type_id() == std::any::TypeId::of::<PathBuf>();
    let values = matches.get_raw(arg.get_id().as_str()).into_iter().flatten();
    let values = values.map(|value| {
        let value = value
            .to_str()
            .with_context(|| format!("--{} {value:?} is not UTF-8", flag.name))?;
        if is_path {
            absolute(value)
        } else {
            Ok(value.to_owned())
        }
    });
    let values = values.collect::<anyhow::Result<Vec<String>>>()?;
    Ok(Setting::of(&flag.name, values, flag.takes == Takes::Many))
}

/// The service runs in another directory than whoever installs it.
fn absolute(path: &str) -> anyhow::Result<String> {
    if path == "-" || path.is_empty() {
        return Ok(path.to_owned());
    }
    let path = std::path::absolute(path).with_context(|| format!("resolve {path}"))?;
    Ok(path.to_string_lossy().into_owned())
}

fn header(role: Role) -> String {
    format!(
        "# The flags of `skiff {0}`, one a line; `skiff {0} --help` tells them all.\n\
         # Applied by: systemctl restart {1}\n",
        role.command(),
        role.unit().trim_end_matches(".service"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(role: Role, args: &[&str]) -> String {
        let root = tempfile::tempdir().unwrap();
        again(role, root.path(), args)
    }

    fn again(role: Role, root: &std::path::Path, args: &[&str]) -> String {
        let root = root.to_str().unwrap();
        let all = [&["skiff", "install", role.command(), "--root", root], args].concat();
        let all = all.iter().map(OsString::from).collect();
        let text = Settings::of(role, all).unwrap().text;
        let settings = text.lines().filter(|line| !line.starts_with('#'));
        settings.map(|line| format!("{line}\n")).collect()
    }

    #[test]
    fn what_is_given_is_written_and_nothing_else() {
        let args = ["--secure-port", "7000", "--anonymous-auth=false"];
        assert_eq!(
            text(Role::Server, &args),
            "secure-port: 7000\nanonymous-auth: false\n"
        );
        assert_eq!(text(Role::Up, &[]), "");
        assert_eq!(
            text(Role::Up, &["--api-audiences", "a,b", "--api-audiences=c"]),
            "api-audiences:\n- a\n- b\n- c\n"
        );
    }

    #[test]
    fn relative_paths_are_written_as_what_they_are_now() {
        let here = std::env::current_dir().unwrap();
        let wanted = format!("scheduler-config: {}\n", here.join("s.yaml").display());
        assert_eq!(
            text(Role::Server, &["--scheduler-config", "s.yaml"]),
            wanted
        );
    }

    #[test]
    fn installing_again_changes_what_is_given() {
        let root = tempfile::tempdir().unwrap();
        let path = config_file::installed_path(Some(root.path()));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "secure-port: 7000 # ours\nmax-pods: 5\n").unwrap();
        let again = again(Role::Up, root.path(), &["--max-pods", "6"]);
        assert_eq!(again, "secure-port: 7000 # ours\nmax-pods: 6\n");
    }

    #[test]
    fn secrets_are_not_shown() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().to_str().unwrap();
        let args = [
            "skiff",
            "install",
            "agent",
            "--root",
            root,
            "--server",
            "https://a",
            "--token",
            "x.y",
        ];
        let settings =
            Settings::of(Role::Agent, args.iter().map(OsString::from).collect()).unwrap();
        assert!(settings.text.contains("token: x.y\n"), "{}", settings.text);
        let shown = settings.without_secrets(&settings.text);
        assert!(
            shown.contains("server:\n- https://a\ntoken: (not shown)\n"),
            "{shown}"
        );
    }
}

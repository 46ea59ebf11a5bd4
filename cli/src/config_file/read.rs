//! Reading the file: whom it belongs to, what is in it, whether its keys are known.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_yaml::Value;

use super::COMMANDS;
use super::flags::{self, Flag, Takes};

/// No file of settings is longer.
const LIMIT: u64 = 1 << 20;

/// A file whose keys are all flags of one command.
#[derive(Debug)]
pub struct ConfigFile {
    pub path: PathBuf,
    pub text: String,
    values: Vec<(Flag, Vec<String>)>,
}

impl ConfigFile {
    /// Reads `path` for `skiff COMMAND`. What the values mean is clap's to check.
    pub fn read(path: &Path, command: &str, skiff: &clap::Command) -> anyhow::Result<Self> {
        let named = || format!("configuration file {}", path.display());
        let (text, mode) = contents(path).with_context(named)?;
        let values = settings(&text, command, skiff).with_context(named)?;
        check_mode(path, mode, &values)?;
        Ok(Self {
            path: path.to_owned(),
            text,
            values,
        })
    }

    /// Each flag that is set, in the file's order, with its values as a command line has them.
    pub fn values(&self) -> &[(Flag, Vec<String>)] {
        &self.values
    }
}

fn contents(path: &Path) -> anyhow::Result<(String, u32)> {
    let file = std::fs::File::open(path).context("open it")?;
    let about = file.metadata().context("look at it")?;
    if !about.is_file() {
        bail!("it is no file");
    }
    let mut text = String::new();
    let read = file.take(LIMIT + 1).read_to_string(&mut text);
    if read.context("read it")? as u64 > LIMIT {
        bail!("it is longer than a mebibyte");
    }
    Ok((text, about.permissions().mode()))
}

/// Whoever may write it may make skiff do anything as root.
fn check_mode(path: &Path, mode: u32, values: &[(Flag, Vec<String>)]) -> anyhow::Result<()> {
    let path = path.display();
    if mode & 0o002 != 0 {
        bail!("everybody may write {path}; take that away: chmod o-w {path}");
    }
    let secret = values.iter().find(|(flag, _)| flag.is_secret);
    if let Some((flag, _)) = secret.filter(|_| mode & 0o044 != 0) {
        bail!(
            "{path} holds a secret ({}), and others than its owner may read it; take that away: chmod 600 {path}",
            flag.name
        );
    }
    Ok(())
}

fn settings(
    text: &str,
    command: &str,
    skiff: &clap::Command,
) -> anyhow::Result<Vec<(Flag, Vec<String>)>> {
    let entries = match serde_yaml::from_str(text).context("it is not YAML")? {
        Value::Null => return Ok(Vec::new()),
        Value::Mapping(entries) => entries,
        _ => bail!("it must be lines of the form `flag: value`"),
    };
    let known = flags::of(skiff, command);
    let read = entries.into_iter().map(|(key, value)| {
        let Value::String(key) = key else {
            bail!("the key {key:?} is not a flag's name");
        };
        let flag = known.iter().find(|flag| flag.name == key);
        let flag = flag.with_context(|| unknown(&key, command, &known, skiff))?;
        let values = values(flag, value).with_context(|| format!("the value of {key}"))?;
        Ok((flag.clone(), values))
    });
    read.collect()
}

fn unknown(key: &str, command: &str, known: &[Flag], skiff: &clap::Command) -> String {
    let has_it = |other: &&&str| flags::of(skiff, other).iter().any(|flag| flag.name == key);
    if let Some(other) = COMMANDS.iter().find(has_it) {
        return format!("{key:?} is a flag of skiff {other}, not of skiff {command}");
    }
    let names = known.iter().map(|flag| flag.name.as_str());
    match flags::nearest(key, names) {
        Some(nearest) => format!("unknown key {key:?}; did you mean {nearest:?}?"),
        None => format!("unknown key {key:?}; see: skiff {command} --help"),
    }
}

/// The values as a command line has them; none for a flag that is turned off.
fn values(flag: &Flag, value: Value) -> anyhow::Result<Vec<String>> {
    match (flag.takes, value) {
        (Takes::Nothing, Value::Bool(true)) => Ok(vec!["true".into()]),
        (Takes::Nothing, Value::Bool(false)) => Ok(Vec::new()),
        (Takes::Nothing, _) => bail!("it must be true or false"),
        (Takes::Many, Value::Sequence(items)) => items.into_iter().map(word).collect(),
        (Takes::One, Value::Sequence(_)) => bail!("it must be one value, not a list"),
        (_, value) => Ok(vec![word(value)?]),
    }
}

fn word(value: Value) -> anyhow::Result<String> {
    match value {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Null => bail!("there is none; leave the line out, or write \"\""),
        _ => bail!("it must be text, a number, true or false"),
    }
}

//! Objects of keys and values: ConfigMaps and Secrets.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Value, json};

/// The server takes no more than this in one object.
const LARGEST: u64 = 1 << 20;

#[derive(Args)]
pub struct Keyed {
    /// Name of the object
    name: String,

    /// A value, as KEY=VALUE
    #[arg(long, value_name = "KEY=VALUE")]
    from_literal: Vec<String>,

    /// A file or a directory's files, under their own names or as KEY=FILE
    #[arg(long, value_name = "[KEY=]FILE")]
    from_file: Vec<String>,

    /// A file of KEY=VALUE lines
    #[arg(long, value_name = "FILE")]
    from_env_file: Vec<String>,

    /// The Secret's type
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
}

type Entries = BTreeMap<String, Vec<u8>>;

impl Keyed {
    pub fn config_map(&self) -> anyhow::Result<Value> {
        ensure!(self.kind.is_none(), "a ConfigMap has no --type");
        let mut map =
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": self.name } });
        for (key, bytes) in self.entries()? {
            match String::from_utf8(bytes) {
                Ok(text) => map["data"][key] = text.into(),
                Err(binary) => map["binaryData"][key] = STANDARD.encode(binary.as_bytes()).into(),
            }
        }
        Ok(map)
    }

    pub fn secret(&self) -> anyhow::Result<Value> {
        let mut secret =
            json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": self.name } });
        if let Some(kind) = &self.kind {
            secret["type"] = kind.clone().into();
        }
        for (key, bytes) in self.entries()? {
            secret["data"][key] = STANDARD.encode(bytes).into();
        }
        Ok(secret)
    }

    fn entries(&self) -> anyhow::Result<Entries> {
        let mut entries = Entries::new();
        for literal in &self.from_literal {
            let (key, value) = literal
                .split_once('=')
                .with_context(|| format!("invalid literal source {literal}, expected key=value"))?;
            add(&mut entries, key, value.as_bytes().to_vec())?;
        }
        for source in &self.from_file {
            from_file(&mut entries, source)?;
        }
        for source in &self.from_env_file {
            let text = String::from_utf8(read(Path::new(source))?)
                .with_context(|| format!("{source} is not text"))?;
            for line in text.lines().map(str::trim_start) {
                if !line.is_empty() && !line.starts_with('#') {
                    let (key, value) = line.split_once('=').unwrap_or((line, ""));
                    add(&mut entries, key, value.as_bytes().to_vec())?;
                }
            }
        }
        Ok(entries)
    }
}

fn from_file(entries: &mut Entries, source: &str) -> anyhow::Result<()> {
    let (key, path) = match source.split_once('=') {
        Some((key, path)) => (Some(key), Path::new(path)),
        None => (None, Path::new(source)),
    };
    if path.is_dir() {
        ensure!(key.is_none(), "cannot give a key name for a directory path");
        for entry in std::fs::read_dir(path).with_context(|| format!("error reading {source}"))? {
            let path = entry?.path();
            if path.is_file() {
                add(entries, &file_name(&path)?, read(&path)?)?;
            }
        }
        return Ok(());
    }
    let name = key.map_or_else(|| file_name(path), |key| Ok(key.to_owned()))?;
    add(entries, &name, read(path)?)
}

fn file_name(path: &Path) -> anyhow::Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.with_context(|| format!("{} has no name to be a key", path.display()))?;
    Ok(name.to_owned())
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let failed = || format!("error reading {}", path.display());
    let length = std::fs::metadata(path).with_context(failed)?.len();
    ensure!(
        length <= LARGEST,
        "{} has {length} bytes; an object holds at most {LARGEST}",
        path.display()
    );
    std::fs::read(path).with_context(failed)
}

fn add(entries: &mut Entries, key: &str, value: Vec<u8>) -> anyhow::Result<()> {
    if entries.insert(key.to_owned(), value).is_some() {
        bail!("cannot add key {key}, another key by that name already exists");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(literals: &[&str], files: &[String]) -> Keyed {
        Keyed {
            name: "n".into(),
            from_literal: literals.iter().map(|l| (*l).to_owned()).collect(),
            from_file: files.to_vec(),
            from_env_file: Vec::new(),
            kind: None,
        }
    }

    #[test]
    fn values_are_text_where_they_can_be_and_encoded_where_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("bin");
        std::fs::write(&file, [0xff, 0]).unwrap();
        let map = of(&["a=b=c"], &[file.display().to_string()])
            .config_map()
            .unwrap();
        assert_eq!(map["data"], json!({ "a": "b=c" }));
        assert_eq!(map["binaryData"], json!({ "bin": "/wA=" }));
        let secret = of(&["a=b"], &[]).secret().unwrap();
        assert_eq!(secret["data"], json!({ "a": "Yg==" }));
    }

    #[test]
    fn key_given_twice_or_without_a_value_is_an_error() {
        assert!(of(&["a=1", "a=2"], &[]).config_map().is_err());
        assert!(of(&["a"], &[]).config_map().is_err());
        let missing = of(&[], &["/nosuch".into()]).config_map().unwrap_err();
        assert_eq!(missing.to_string(), "error reading /nosuch");
    }
}

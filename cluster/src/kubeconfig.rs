//! The user's kubeconfig: a cluster's entries are put into it and taken out of
//! it, all else in it stays as it is.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use serde_yaml::{Mapping, Value};

use crate::error::{Error, Result, file};

const LISTS: [&str; 3] = ["clusters", "users", "contexts"];
const MOST_BYTES: u64 = 16 << 20;

/// What a cluster's entries in a kubeconfig are called.
pub fn context(cluster: &str) -> String {
    format!("skiff-{cluster}")
}

/// The cluster's own kubeconfig, from the one its server wrote (`admin`): with
/// our names, for the address at which this machine reaches it.
pub fn of_cluster(admin: &str, cluster: &str, server: std::net::SocketAddr) -> Result<Value> {
    let path = Path::new("of the control plane");
    let mut config: Value = serde_yaml::from_str(admin).map_err(|error| damaged(path, error))?;
    let name = context(cluster);
    let mut entry = take(&mut config, "clusters", "cluster", path)?;
    entry.insert("server".into(), format!("https://{server}").into());
    if !server.ip().is_loopback() {
        // The certificate bears the node's addresses, and this name.
        entry.insert("tls-server-name".into(), "localhost".into());
    }
    let user = take(&mut config, "users", "user", path)?;
    let mut context = Mapping::new();
    context.insert("cluster".into(), name.clone().into());
    context.insert("user".into(), name.clone().into());
    let mut made = Mapping::new();
    made.insert("apiVersion".into(), "v1".into());
    made.insert("kind".into(), "Config".into());
    for (list, word, value) in [
        ("clusters", "cluster", entry),
        ("users", "user", user),
        ("contexts", "context", context),
    ] {
        let mut named = Mapping::new();
        named.insert("name".into(), name.clone().into());
        named.insert(word.into(), value.into());
        made.insert(list.into(), Value::Sequence(vec![named.into()]));
    }
    made.insert("current-context".into(), name.into());
    Ok(made.into())
}

fn take(config: &mut Value, list: &str, word: &str, path: &Path) -> Result<Mapping> {
    let entry = config
        .get_mut(list)
        .and_then(|list| list.get_mut(0))
        .and_then(|named| named.get_mut(word));
    match entry.map(std::mem::take) {
        Some(Value::Mapping(entry)) => Ok(entry),
        _ => Err(damaged(path, format!("it has no {word}"))),
    }
}

fn damaged(path: &Path, what: impl ToString) -> Error {
    Error::Kubeconfig {
        path: path.to_owned(),
        what: what.to_string(),
    }
}

/// As YAML.
pub fn text(config: &Value) -> String {
    serde_yaml::to_string(config).expect("a YAML value is YAML")
}

/// Puts the entries of `config` into the file, in the place of those that have
/// their names, and makes its context the current one.
pub fn merge(path: &Path, config: &Value) -> Result<()> {
    edit(path, |file| {
        for list in LISTS {
            for entry in sequence(config.get(list)) {
                remove_named(file, list, entry.get("name"));
                let place = file
                    .entry(list.into())
                    .or_insert_with(|| Value::Sequence(Vec::new()));
                if !place.is_sequence() {
                    *place = Value::Sequence(Vec::new());
                }
                if let Value::Sequence(entries) = place {
                    entries.push(entry.clone());
                }
            }
        }
        for (key, value) in [("apiVersion", "v1"), ("kind", "Config")] {
            file.entry(key.into()).or_insert_with(|| value.into());
        }
        if let Some(current) = config.get("current-context") {
            file.insert("current-context".into(), current.clone());
        }
        true
    })
}

/// Takes the entries of a cluster out of the file, if it has them.
pub fn forget(path: &Path, cluster: &str) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let name = Value::from(context(cluster));
    edit(path, |file| {
        let mut is_changed = false;
        for list in LISTS {
            is_changed |= remove_named(file, list, Some(&name));
        }
        if file.get("current-context") == Some(&name) {
            file.insert("current-context".into(), "".into());
            is_changed = true;
        }
        is_changed
    })
}

fn sequence(value: Option<&Value>) -> &[Value] {
    value
        .and_then(Value::as_sequence)
        .map_or(&[], Vec::as_slice)
}

fn remove_named(file: &mut Mapping, list: &str, name: Option<&Value>) -> bool {
    let Some(Value::Sequence(entries)) = file.get_mut(list) else {
        return false;
    };
    let before = entries.len();
    entries.retain(|entry| entry.get("name") != name);
    entries.len() != before
}

/// Reads the file, has it changed, and replaces it; its owner stays its owner.
fn edit(path: &Path, change: impl FnOnce(&mut Mapping) -> bool) -> Result<()> {
    let path = &real(path);
    let owner = fs::metadata(path).ok();
    if owner.as_ref().is_some_and(|file| file.len() > MOST_BYTES) {
        return Err(damaged(path, "it is too large to be one"));
    }
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        text => text.map_err(file("read", path))?,
    };
    let mut config = match serde_yaml::from_str(&text) {
        Ok(Value::Mapping(config)) => config,
        Ok(Value::Null) => Mapping::new(),
        Ok(_) => return Err(damaged(path, "it is no mapping")),
        Err(error) => return Err(damaged(path, error)),
    };
    if !change(&mut config) {
        return Ok(());
    }
    if let Some(dir) = path.parent() {
        pki::private_file::make_dir(dir)?;
    }
    pki::private_file::write(path, crate::kubeconfig::text(&config.into()).as_bytes())?;
    if let Some(owner) = owner {
        chown(path, Some(owner.uid()), Some(owner.gid())).map_err(file("give back", path))?;
    }
    Ok(())
}

/// Where a link leads: the file is replaced, not the link.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADMIN: &str = r#"{"clusters":[{"name":"skiff","cluster":{"server":"https://127.0.0.1:6443","certificate-authority-data":"Q0E="}}],
        "users":[{"name":"admin","user":{"client-key-data":"S0VZ"}}],"contexts":[],"current-context":"skiff"}"#;

    fn lab(server: &str) -> Value {
        of_cluster(ADMIN, "lab", server.parse().unwrap()).unwrap()
    }

    #[test]
    fn entries_are_put_in_replaced_and_taken_out_and_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/config");
        merge(
            &path,
            &of_cluster(ADMIN, "other", "127.0.0.1:1".parse().unwrap()).unwrap(),
        )
        .unwrap();
        merge(&path, &lab("127.0.0.1:2")).unwrap();
        merge(&path, &lab("127.0.0.1:3")).unwrap();
        let read =
            || -> Value { serde_yaml::from_str(&fs::read_to_string(&path).unwrap()).unwrap() };
        let config = read();
        assert_eq!(config["clusters"].as_sequence().unwrap().len(), 2);
        assert_eq!(
            config["clusters"][1]["cluster"]["server"],
            "https://127.0.0.1:3"
        );
        assert_eq!(config["current-context"], "skiff-lab");
        forget(&path, "lab").unwrap();
        let config = read();
        assert_eq!(config["users"].as_sequence().unwrap().len(), 1);
        assert_eq!(config["users"][0]["name"], "skiff-other");
        assert_eq!(config["current-context"], "");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_cluster_that_is_not_in_the_file_changes_nothing_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        fs::write(&path, "# mine\nclusters: []\n").unwrap();
        forget(&path, "lab").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "# mine\nclusters: []\n");
        forget(&dir.path().join("absent"), "lab").unwrap();
    }

    #[test]
    fn an_address_that_no_certificate_bears_is_checked_by_name() {
        assert_eq!(
            lab("192.0.2.1:1")["clusters"][0]["cluster"]["tls-server-name"],
            "localhost"
        );
        assert!(
            lab("127.0.0.1:1")["clusters"][0]["cluster"]
                .get("tls-server-name")
                .is_none()
        );
    }

    #[test]
    fn a_file_that_is_no_kubeconfig_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        fs::write(&path, "- a\n").unwrap();
        assert!(merge(&path, &lab("127.0.0.1:1")).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "- a\n");
    }
}

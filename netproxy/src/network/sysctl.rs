//! Kernel settings the pod network needs, and what they were before.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::lease::{file_error, replace_file};
use crate::{Error, Result};

/// File name of the record of previous values, under the state directory.
pub const FILE: &str = "sysctls.json";

const ROOT: &str = "/proc/sys";

/// Forwarding between pods and the world outside the node.
pub const IP_FORWARD: &str = "net/ipv4/ip_forward";

/// Sets `name` to `value`, noting once what it was before the first change.
pub fn set(state_dir: &Path, name: &str, value: &str) -> Result<()> {
    let path = Path::new(ROOT).join(name);
    let before = fs::read_to_string(&path).map_err(|e| file_error("read", &path, e))?;
    if before.trim() == value {
        return Ok(());
    }
    let mut previous = read_record(state_dir)?;
    previous
        .entry(name.to_owned())
        .or_insert_with(|| before.trim().to_owned());
    let bytes = serde_json::to_vec(&previous).expect("a map of strings is JSON");
    replace_file(&state_dir.join(FILE), &bytes)?;
    fs::write(&path, value).map_err(|source| file_error("write", &path, source))
}

/// Puts every noted value back and forgets the notes.
pub fn restore(state_dir: &Path) -> Result<()> {
    for (name, value) in read_record(state_dir)? {
        let path = Path::new(ROOT).join(name);
        match fs::write(&path, value) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(file_error("write", &path, source)),
        }
    }
    Ok(())
}

fn read_record(state_dir: &Path) -> Result<BTreeMap<String, String>> {
    let path = state_dir.join(FILE);
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
            let source = io::Error::new(io::ErrorKind::InvalidData, error);
            Error::File {
                doing: "understand",
                path,
                source,
            }
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(source) => Err(file_error("read", &path, source)),
    }
}

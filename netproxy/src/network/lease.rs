//! Which pod holds which address of the node's range.
//!
//! The record is replaced by rename after every change, so a killed agent
//! finds either the old or the new one. It is not synced to disk: a machine
//! that lost power has lost its pods too.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// File name of the record, under the state directory.
pub const FILE: &str = "pod-addresses.json";

/// The table of leases and the file that keeps it.
#[derive(Debug)]
pub struct Leases {
    range: Ipv4Net,
    file: PathBuf,
    record: Record,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    /// The address given last: the search for a free one starts behind it, so
    /// that an address rests as long as the range allows.
    last: Option<Ipv4Addr>,
    pods: BTreeMap<String, Ipv4Addr>,
}

impl Leases {
    /// Reads the record in `state_dir`, which may not exist yet.
    ///
    /// # Errors
    /// `DamagedRecord` where the file is no record; see [`Leases::start_over`].
    pub fn open(state_dir: &Path, range: Ipv4Net) -> Result<Self> {
        if range.prefix_len() > 30 {
            return Err(Error::RangeTooSmall { range });
        }
        let file = state_dir.join(FILE);
        let record = match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|source| {
                let path = file.clone();
                Error::DamagedRecord { path, source }
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Record::default(),
            Err(source) => return Err(file_error("read", &file, source)),
        };
        Ok(Self {
            range,
            file,
            record,
        })
    }

    /// An empty table, for when the record is damaged and no pod is attached.
    pub fn start_over(state_dir: &Path, range: Ipv4Net) -> Self {
        let file = state_dir.join(FILE);
        let record = Record::default();
        Self {
            range,
            file,
            record,
        }
    }

    pub fn gateway(&self) -> Ipv4Addr {
        gateway(self.range)
    }

    pub fn get(&self, pod_uid: &str) -> Option<Ipv4Addr> {
        self.record.pods.get(pod_uid).copied()
    }

    pub fn pods(&self) -> Vec<String> {
        self.record.pods.keys().cloned().collect()
    }

    /// The pod's address: the one it holds, or the next free one.
    pub fn lease(&mut self, pod_uid: &str) -> Result<Ipv4Addr> {
        if let Some(held) = self.get(pod_uid) {
            return Ok(held);
        }
        let address = self
            .next_free()
            .ok_or(Error::AddressesExhausted { range: self.range })?;
        self.record.pods.insert(pod_uid.to_owned(), address);
        let before = self.record.last.replace(address);
        self.save().inspect_err(|_| {
            self.record.pods.remove(pod_uid);
            self.record.last = before;
        })?;
        Ok(address)
    }

    /// Gives the pod's address back, if it holds one.
    pub fn release(&mut self, pod_uid: &str) -> Result<()> {
        let Some(address) = self.record.pods.remove(pod_uid) else {
            return Ok(());
        };
        self.save().inspect_err(|_| {
            self.record.pods.insert(pod_uid.to_owned(), address);
        })
    }

    fn next_free(&self) -> Option<Ipv4Addr> {
        let taken: HashSet<u32> = self.record.pods.values().map(|ip| u32::from(*ip)).collect();
        let first = u32::from(self.gateway()) + 1;
        let end = u32::from(self.range.broadcast());
        let start = self
            .record
            .last
            .map(|last| u32::from(last) + 1)
            .filter(|next| (first..end).contains(next))
            .unwrap_or(first);
        (start..end)
            .chain(first..start)
            .find(|candidate| !taken.contains(candidate))
            .map(Ipv4Addr::from)
    }

    fn save(&self) -> Result<()> {
        let bytes = serde_json::to_vec(&self.record).expect("strings and addresses are JSON");
        replace_file(&self.file, &bytes)
    }
}

/// The gateway of a pod range: its first address.
pub fn gateway(range: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(range.network()) + 1)
}

/// Replaces `file` by rename: a reader sees all of the old or all of the new.
pub fn replace_file(file: &Path, bytes: &[u8]) -> Result<()> {
    let new = file.with_extension("new");
    fs::write(&new, bytes).map_err(|source| file_error("write", &new, source))?;
    fs::rename(&new, file).map_err(|source| file_error("replace", file, source))
}

pub fn file_error(doing: &'static str, path: &Path, source: io::Error) -> Error {
    let path = path.to_owned();
    Error::File {
        doing,
        path,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &Path) -> Leases {
        Leases::open(dir, "10.244.3.0/29".parse().unwrap()).unwrap()
    }

    #[test]
    fn first_pod_gets_the_address_behind_the_gateway() {
        let dir = tempfile::tempdir().unwrap();
        let mut leases = open(dir.path());
        assert_eq!(leases.gateway(), Ipv4Addr::new(10, 244, 3, 1));
        assert_eq!(leases.lease("a").unwrap(), Ipv4Addr::new(10, 244, 3, 2));
    }

    #[test]
    fn pod_keeps_its_address_when_asked_again_and_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let first = open(dir.path()).lease("a").unwrap();
        let mut again = open(dir.path());
        assert_eq!(again.lease("a").unwrap(), first);
        assert_ne!(again.lease("b").unwrap(), first);
    }

    #[test]
    fn released_address_rests_until_the_range_has_gone_round() {
        let dir = tempfile::tempdir().unwrap();
        let mut leases = open(dir.path());
        let first = leases.lease("a").unwrap();
        leases.release("a").unwrap();
        let next: Vec<_> = (0..4)
            .map(|n| leases.lease(&format!("p{n}")).unwrap())
            .collect();
        assert!(!next.contains(&first));
        assert_eq!(leases.lease("late").unwrap(), first);
    }

    #[test]
    fn full_range_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut leases = open(dir.path());
        for n in 0..5 {
            leases.lease(&format!("p{n}")).unwrap();
        }
        let error = leases.lease("one-too-many").unwrap_err();
        assert!(error.to_string().contains("10.244.3.0/29"), "{error}");
        leases.release("p3").unwrap();
        assert!(leases.lease("one-too-many").is_ok());
    }

    #[test]
    fn damaged_record_is_told_from_an_absent_one() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), b"{\"pods\"").unwrap();
        let range = "10.244.3.0/24".parse().unwrap();
        let error = Leases::open(dir.path(), range).unwrap_err();
        assert!(matches!(error, Error::DamagedRecord { .. }), "{error}");
    }

    #[test]
    fn lease_that_could_not_be_recorded_is_not_held() {
        let dir = tempfile::tempdir().unwrap();
        let mut leases = open(dir.path());
        fs::remove_dir_all(dir.path()).unwrap();
        leases.lease("a").unwrap_err();
        assert_eq!(leases.get("a"), None);
    }
}

//! The node's resolvers, from its resolv.conf, read again when that changes.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;
use std::{fs, io};

const PORT: u16 = 53;

/// As many as the C library uses.
const MOST: usize = 3;

#[derive(Debug)]
pub struct ResolvConf {
    path: PathBuf,
    /// Left out, as asking it would be asking ourselves.
    own_address: SocketAddr,
    read: Mutex<Read>,
}

#[derive(Debug, Default)]
struct Read {
    /// Time of change and length, by which a new text is noticed.
    version: Option<(SystemTime, u64)>,
    servers: Vec<SocketAddr>,
}

impl ResolvConf {
    pub fn new(path: PathBuf, own_address: SocketAddr) -> Self {
        Self {
            path,
            own_address,
            read: Mutex::default(),
        }
    }

    /// The resolvers named now; none if the file is absent or names none.
    pub fn servers(&self) -> Vec<SocketAddr> {
        let version = self.version().ok();
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.version != version {
            let text = fs::read_to_string(&self.path).unwrap_or_default();
            let mut servers = parse(&text);
            servers.retain(|server| *server != self.own_address);
            *read = Read { version, servers };
        }
        read.servers.clone()
    }

    fn version(&self) -> io::Result<(SystemTime, u64)> {
        let metadata = fs::metadata(&self.path)?;
        Ok((metadata.modified()?, metadata.len()))
    }
}

fn parse(text: &str) -> Vec<SocketAddr> {
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let address = words
            .next()
            .filter(|word| *word == "nameserver")
            .and(words.next())?;
        Some(SocketAddr::new(address.parse::<IpAddr>().ok()?, PORT))
    });
    servers.take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_nameservers_with_an_address_count() {
        let text = "# nameserver 1.1.1.1\nsearch a b\nnameserver 10.0.0.2 # x\nnameserver no\n\
                    nameserver fd00::1\noptions ndots:5\n";
        assert_eq!(
            parse(text),
            [
                "10.0.0.2:53".parse().unwrap(),
                "[fd00::1]:53".parse().unwrap()
            ]
        );
    }

    #[test]
    fn changed_file_is_read_again_and_our_own_address_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("resolv.conf");
        let conf = ResolvConf::new(path.clone(), "10.96.0.10:53".parse().unwrap());
        assert!(conf.servers().is_empty());
        fs::write(&path, "nameserver 10.0.0.2\n").unwrap();
        assert_eq!(conf.servers(), ["10.0.0.2:53".parse().unwrap()]);
        fs::write(&path, "nameserver 10.96.0.10\nnameserver 10.0.0.31\n").unwrap();
        assert_eq!(conf.servers(), ["10.0.0.31:53".parse().unwrap()]);
        fs::remove_file(&path).unwrap();
        assert!(conf.servers().is_empty());
    }
}

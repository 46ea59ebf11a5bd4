//! The cluster's servers, as an agent knows them.
//!
//! The first are told on the command line; from then on the endpoints of the
//! Service `kubernetes` say which there are, and are kept for the next start.
//! Each new connection goes to the next one that answers, so a server that is
//! lost costs a reconnect, and agents spread over all.
//!
//! A server is known by the cluster's authority and by the name
//! `kubernetes.default.svc`, which only API servers' certificates bear: so it
//! does not matter by which address it is reached.

mod client;
mod counted;
mod dial;
mod follow;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use pki::private_file;
use tokio::sync::watch;

pub use client::Auth;
pub use dial::{Dialer, NAME};
pub use follow::follow;

/// A server that did not answer is asked last for so long.
const SHUNNED_FOR: Duration = Duration::from_secs(20);
/// More servers than this are a mistake.
const SERVERS_MAX: usize = 64;

/// `host:port`.
pub type Address = String;

pub struct Servers {
    told: Vec<Address>,
    /// Where what was learnt is kept.
    file: PathBuf,
    learnt: watch::Sender<Vec<Address>>,
    state: Mutex<State>,
}

struct State {
    /// Which one the next connection goes to.
    next: usize,
    failed: HashMap<Address, Instant>,
}

impl Servers {
    /// # Errors
    /// One of `urls` is no URL of a server.
    pub fn new(urls: &[String], file: PathBuf) -> anyhow::Result<Arc<Self>> {
        ensure!(!urls.is_empty(), "no --server is given");
        let told: anyhow::Result<Vec<Address>> = urls.iter().map(|url| address(url)).collect();
        let kept = private_file::read(&file)?.unwrap_or_default();
        let kept = kept.lines().map(str::to_owned).take(SERVERS_MAX);
        Ok(Arc::new(Self {
            told: told?,
            file,
            learnt: watch::Sender::new(kept.collect()),
            state: Mutex::new(State {
                next: rand::random::<u16>().into(),
                failed: HashMap::new(),
            }),
        }))
    }

    /// Those that were told.
    pub fn told(&self) -> &[Address] {
        &self.told
    }

    /// The cluster's own word, or what was told before there is any.
    pub fn all(&self) -> Vec<Address> {
        let learnt = self.learnt.borrow();
        let known = if learnt.is_empty() {
            &self.told
        } else {
            &*learnt
        };
        known.clone()
    }

    /// Wakes when [`Servers::all`] changes.
    pub fn changes(&self) -> watch::Receiver<Vec<Address>> {
        self.learnt.subscribe()
    }

    /// Takes over what the cluster says; what it does not say changes nothing.
    fn learn(&self, found: Vec<Address>) {
        if found.is_empty() || found.len() > SERVERS_MAX || *self.learnt.borrow() == found {
            return;
        }
        tracing::info!(servers = found.join(","), "the cluster's servers");
        let lines = found.join("\n");
        if let Err(error) = private_file::write_public(&self.file, lines.as_bytes()) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "keep the list of servers for the next start");
        }
        self.learnt.send_replace(found);
    }

    /// All, in the order in which the next connection tries them.
    fn in_turn(&self) -> Vec<Address> {
        let mut all = self.all();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let first = state.next % all.len();
        state.next = state.next.wrapping_add(1);
        all.rotate_left(first);
        // Load balancers and the like, in case none of the others is within reach.
        let others = self.told.iter().filter(|told| !all.contains(told));
        let others: Vec<Address> = others.cloned().collect();
        all.extend(others);
        state.failed.retain(|_, at| at.elapsed() < SHUNNED_FOR);
        all.sort_by_key(|address| state.failed.contains_key(address));
        all
    }

    fn note_failure(&self, address: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.failed.insert(address.to_owned(), Instant::now());
    }
}

fn address(url: &str) -> anyhow::Result<Address> {
    let uri: http::Uri = url
        .parse()
        .with_context(|| format!("--server {url} is not a URL"))?;
    if uri.scheme_str() != Some("https") {
        bail!("--server {url} is not an https:// URL");
    }
    let host = uri
        .host()
        .with_context(|| format!("--server {url} names no host"))?;
    Ok(format!("{host}:{}", uri.port_u16().unwrap_or(443)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(urls: &[&str], dir: &tempfile::TempDir) -> Arc<Servers> {
        let urls: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
        Servers::new(&urls, dir.path().join("servers")).unwrap()
    }

    #[test]
    fn connections_take_turns_and_what_failed_comes_last() {
        let dir = tempfile::tempdir().unwrap();
        let servers = servers(&["https://a:6443", "https://b:6443"], &dir);
        let (first, second) = (servers.in_turn(), servers.in_turn());
        assert_ne!(first[0], second[0]);
        assert_eq!(first.len(), 2);
        servers.note_failure("a:6443");
        assert_eq!(servers.in_turn()[0], "b:6443");
        assert_eq!(servers.in_turn()[0], "b:6443");
    }

    #[test]
    fn what_the_cluster_says_is_kept_and_what_was_told_is_the_last_resort() {
        let dir = tempfile::tempdir().unwrap();
        let urls = ["https://balancer"];
        let learnt = ["10.0.0.1:6443".to_owned(), "10.0.0.2:6443".to_owned()];
        let before = servers(&urls, &dir);
        assert_eq!(before.all(), ["balancer:443"]);
        before.learn(learnt.to_vec());
        before.learn(Vec::new());
        let after = servers(&urls, &dir);
        assert_eq!(after.all(), learnt);
        let turn = after.in_turn();
        assert_eq!((turn.len(), turn[2].as_str()), (3, "balancer:443"));
    }

    #[test]
    fn only_https_urls_are_servers() {
        assert!(address("http://a").is_err());
        assert!(address("a:6443").is_err());
        assert_eq!(address("https://[::1]:6443").unwrap(), "[::1]:6443");
    }
}

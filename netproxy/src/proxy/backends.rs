//! The endpoints behind one frontend, and which of them a client gets.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Clients remembered per frontend; beyond, those whose time is over are
/// forgotten, then newcomers are not remembered.
const MAX_CLIENTS: usize = 65_536;

/// What the controlling side changes as Services change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Never empty: a frontend without endpoints has no listener.
    pub endpoints: Arc<[SocketAddrV4]>,
    pub affinity: Option<Duration>,
}

/// Shared by all that accept for one frontend.
pub struct Backends {
    choice: watch::Receiver<Choice>,
    turn: AtomicUsize,
    clients: Mutex<HashMap<Ipv4Addr, Held>>,
}

struct Held {
    endpoint: SocketAddrV4,
    since: Instant,
}

impl Backends {
    pub fn new(choice: watch::Receiver<Choice>) -> Self {
        // Frontends that start together should not all begin with the same
        // endpoint; the first of the turn is as random as a hash seed.
        let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
        let turn = AtomicUsize::new(usize::try_from(seed % 4096).unwrap_or_default());
        Self {
            choice,
            turn,
            clients: Mutex::default(),
        }
    }

    /// The endpoint for a client; `failed` ones only if there is no other.
    pub fn pick(&self, client: Ipv4Addr, failed: &[SocketAddrV4]) -> Option<SocketAddrV4> {
        let choice = self.choice.borrow().clone();
        let Some(affinity) = choice.affinity else {
            return self.next(&choice.endpoints, failed);
        };
        let now = Instant::now();
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let is_live = |held: &Held| now.duration_since(held.since) <= affinity;
        let held = clients
            .get(&client)
            .filter(|held| is_live(held))
            .map(|held| held.endpoint);
        let endpoint = held
            .filter(|endpoint| choice.endpoints.contains(endpoint) && !failed.contains(endpoint))
            .or_else(|| self.next(&choice.endpoints, failed))?;
        if clients.len() >= MAX_CLIENTS && !clients.contains_key(&client) {
            clients.retain(|_, held| is_live(held));
        }
        if clients.len() < MAX_CLIENTS || clients.contains_key(&client) {
            clients.insert(
                client,
                Held {
                    endpoint,
                    since: now,
                },
            );
        }
        Some(endpoint)
    }

    pub fn is_current(&self, endpoint: SocketAddrV4) -> bool {
        self.choice.borrow().endpoints.contains(&endpoint)
    }

    /// Tells when endpoints change.
    pub fn changes(&self) -> watch::Receiver<Choice> {
        self.choice.clone()
    }

    fn next(&self, endpoints: &[SocketAddrV4], failed: &[SocketAddrV4]) -> Option<SocketAddrV4> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let (before, behind) = endpoints.split_at(turn % endpoints.len().max(1));
        let mut in_turn = behind.iter().chain(before);
        in_turn.find(|endpoint| !failed.contains(endpoint)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 9);

    fn endpoints(count: u8) -> Arc<[SocketAddrV4]> {
        (1..=count)
            .map(|n| SocketAddrV4::new([10, 244, 0, n].into(), 80))
            .collect()
    }

    fn backends(count: u8, affinity: Option<Duration>) -> (watch::Sender<Choice>, Backends) {
        let (sender, receiver) = watch::channel(Choice {
            endpoints: endpoints(count),
            affinity,
        });
        (sender, Backends::new(receiver))
    }

    #[test]
    fn endpoints_take_turns() {
        let (_sender, backends) = backends(3, None);
        let mut picked: Vec<_> = (0..3)
            .map(|_| backends.pick(CLIENT, &[]).unwrap())
            .collect();
        picked.sort_unstable();
        assert_eq!(picked, *endpoints(3));
    }

    #[test]
    fn failed_endpoint_is_not_picked_again_and_none_is_left_when_all_failed() {
        let (_sender, backends) = backends(2, None);
        let all = endpoints(2);
        for _ in 0..4 {
            assert_eq!(backends.pick(CLIENT, &all[..1]), Some(all[1]));
        }
        assert_eq!(backends.pick(CLIENT, &all), None);
    }

    #[tokio::test(start_paused = true)]
    async fn client_stays_with_its_endpoint_until_it_was_away_too_long() {
        let (_sender, backends) = backends(3, Some(Duration::from_secs(10)));
        let first = backends.pick(CLIENT, &[]);
        for _ in 0..5 {
            tokio::time::advance(Duration::from_secs(9)).await;
            assert_eq!(backends.pick(CLIENT, &[]), first);
        }
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_ne!(backends.pick(CLIENT, &[]), first);
    }

    #[tokio::test(start_paused = true)]
    async fn client_leaves_an_endpoint_that_is_gone_or_fails() {
        let (sender, backends) = backends(3, Some(Duration::from_secs(10)));
        let first = backends.pick(CLIENT, &[]).unwrap();
        let second = backends.pick(CLIENT, &[first]).unwrap();
        assert_ne!(first, second);
        assert_eq!(backends.pick(CLIENT, &[]), Some(second));
        let rest = endpoints(3)
            .iter()
            .copied()
            .filter(|e| *e != second)
            .collect();
        sender.send_replace(Choice {
            endpoints: rest,
            affinity: Some(Duration::from_secs(10)),
        });
        assert_ne!(backends.pick(CLIENT, &[]), Some(second));
        assert!(!backends.is_current(second));
    }
}

//! Heartbeats of all nodes, evenly spread over time.
//!
//! Like kubelets the nodes do not wait for each other: a server that is slow
//! for one is not told of the next any later.

use std::time::Duration;

use kube::Client;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::node::{self, LEASES, NODES};
use crate::{Config, api};

/// How often a lease is renewed, as kubelets do.
const PERIOD: Duration = Duration::from_secs(10);
/// Beats in a period; the nodes take turns.
const TURNS: usize = 100;
/// A node's status is told again each so many periods: every five minutes.
const STATUS_EVERY: usize = 30;

/// Requests on their way at once.
const AT_ONCE: usize = 256;

/// Beats for ever.
pub async fn beat(config: &Config, client: &Client) {
    let turns = u32::try_from(TURNS).unwrap_or(1);
    let mut ticks = interval(PERIOD / turns);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut beats = Beats::default();
    for tick in 0.. {
        ticks.tick().await;
        for number in due(config.nodes, tick) {
            beats
                .start(renew(client.clone(), config.name(number)))
                .await;
        }
        for number in due_for_status(config.nodes, tick) {
            beats.start(tell(client.clone(), config.name(number))).await;
        }
    }
}

/// Those on their way; they end with it.
#[derive(Default)]
struct Beats(JoinSet<()>);

impl Beats {
    async fn start(&mut self, beat: impl Future<Output = ()> + Send + 'static) {
        while self.0.try_join_next().is_some() {}
        if self.0.len() >= AT_ONCE {
            self.0.join_next().await;
        }
        self.0.spawn(beat);
    }
}

/// The nodes whose lease is renewed at this tick.
fn due(nodes: usize, tick: usize) -> Vec<usize> {
    (0..nodes).skip(tick % TURNS).step_by(TURNS).collect()
}

/// The nodes that tell their status at this tick, after their first period.
fn due_for_status(nodes: usize, tick: usize) -> Vec<usize> {
    let period = tick / TURNS;
    let mut due = due(nodes, tick);
    due.retain(|number| period > 0 && (number / TURNS + period).is_multiple_of(STATUS_EVERY));
    due
}

async fn renew(client: Client, name: String) {
    let patch = json!({ "spec": node::lease_spec(&name) });
    let renewed = api::merge(&client, LEASES, &name, patch).await;
    if let Err(error) = renewed {
        tracing::debug!("renew the lease of {name}: {error}");
    }
}

async fn tell(client: Client, name: String) {
    let mut conditions = node::conditions();
    // When it changed is known already.
    for condition in conditions.as_array_mut().into_iter().flatten() {
        if let Some(condition) = condition.as_object_mut() {
            condition.remove("lastTransitionTime");
        }
    }
    let status = json!({ "conditions": conditions });
    if let Err(error) = api::patch_status(&client, NODES, &name, status).await {
        tracing::debug!("tell the status of {name}: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lease_is_renewed_once_a_period_and_all_ticks_carry_alike() {
        for nodes in [1, 99, 100, 5000] {
            let all: Vec<Vec<usize>> = (0..TURNS).map(|tick| due(nodes, tick)).collect();
            let mut seen: Vec<usize> = all.concat();
            seen.sort_unstable();
            assert_eq!(seen, (0..nodes).collect::<Vec<_>>());
            let most = all.iter().map(Vec::len).max().unwrap();
            assert_eq!(most, nodes.div_ceil(TURNS));
        }
    }

    #[test]
    fn each_status_is_told_once_in_five_minutes() {
        let ticks = TURNS..TURNS * (STATUS_EVERY + 1);
        let mut told: Vec<usize> = ticks.flat_map(|tick| due_for_status(5000, tick)).collect();
        told.sort_unstable();
        assert_eq!(told, (0..5000).collect::<Vec<_>>());
    }
}

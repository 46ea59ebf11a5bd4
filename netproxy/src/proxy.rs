//! Services: what is sent to a Service's address goes to one of its endpoints.
//!
//! The Services' range is routed to this node itself, so a connection from a
//! pod or from the node to a ClusterIP is local, and a listening socket on
//! that address is all it takes. A Service port has a socket exactly while it
//! has an endpoint: without one the kernel refuses, as Kubernetes wants it.
//!
//! The endpoint sees the node as the client: the connection it gets is the
//! proxy's. Established connections outlive every change of the Service.

mod backends;
mod listeners;
mod plan;
mod relay;
mod splice;
mod tcp;
mod udp;
mod worker;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::cluster::{ObjectName, State};
use crate::{Config, Result, metrics};
use listeners::Listeners;
use worker::Workers;

/// How long an address that something else holds is left before it is tried
/// again, if no Service changes before.
const RETRY: Duration = Duration::from_secs(30);

/// Forwards for the Services in `state` until `shutdown`; then every forwarded
/// connection is cut. [`crate::route_services`] comes first.
///
/// # Errors
/// Where no thread can be started. An address that cannot be listened on is
/// logged and tried again.
pub async fn run(config: &Config, state: Arc<State>, shutdown: CancellationToken) -> Result<()> {
    worker::raise_descriptor_limit();
    let workers = Workers::start(config.workers)?;
    let mut listeners = Listeners::new(config.clone(), workers);
    let serve = async {
        loop {
            let changed = next_change(&state, &listeners).await;
            let triggers = state.take_triggers();
            let start = Instant::now();
            let index = state.read();
            for service in changed {
                listeners.sync(&index, &service);
            }
            drop(index);
            metrics::synced(start.elapsed(), listeners.unserved().count());
            triggers.into_iter().for_each(metrics::programmed);
        }
    };
    tokio::select! {
        () = serve => {}
        () = shutdown.cancelled() => {}
    }
    listeners.close().await;
    Ok(())
}

/// The Services to look at again: those that changed, and with them those that
/// could not be served before.
async fn next_change(state: &State, listeners: &Listeners) -> HashSet<ObjectName> {
    let mut again: HashSet<ObjectName> = listeners.unserved().cloned().collect();
    if again.is_empty() {
        return state.changed().await;
    }
    if let Ok(changed) = tokio::time::timeout(RETRY, state.changed()).await {
        again.extend(changed);
    }
    again
}

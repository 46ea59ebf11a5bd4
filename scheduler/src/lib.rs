//! Puts pods on nodes.
//!
//! One task owns all state: what watches bring changes the [`cache`] and wakes
//! pods in the [`queue`]; a pod taken from the queue passes every plugin's
//! filter, the best-scored node is assumed to hold it, and the binding goes to
//! the API server while the next pod is already being looked at. A binding that
//! fails takes the assumption back.
//!
//! Only what scheduling needs is kept of a pod or a node ([`object`]). This
//! crate changes nothing in the cluster but bindings, the `PodScheduled`
//! condition and events.

mod bind;
mod cache;
mod conditions;
mod cycle;
mod error;
pub mod object;
mod plugins;
mod queue;
mod report;
mod requests;
mod run;
mod specs;

pub use error::Error;
pub use run::{Config, run};

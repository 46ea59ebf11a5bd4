//! Puts pods on nodes.
//!
//! One task owns all state: what watches bring changes the [`cluster`] and wakes
//! pods in the [`queue`]; a pod taken from the queue passes every plugin's
//! filter, the best-scored node is assumed to hold it, and the binding goes to
//! the API server while the next pod is already being looked at. A binding that
//! fails takes the assumption back. A pod that fits nowhere may have others of
//! lower priority ended for it ([`preemption`]).
//!
//! Only what scheduling needs is kept of a pod or a node ([`object`]), and of
//! pods of one making only once ([`template`]). This crate changes nothing in
//! the cluster but bindings, claims' and volumes' choice of each other, the
//! status of pods that wait or make room, and events.

mod affinity;
mod bind;
mod budgets;
mod cache;
mod classes;
mod cluster;
mod conditions;
mod configuration;
mod cycle;
mod error;
mod evict;
mod filters;
mod happened;
mod metrics;
mod namespaces;
mod nominations;
pub mod object;
mod plugins;
mod ports;
mod preemption;
mod profile;
mod queue;
mod report;
mod requests;
mod run;
mod scoring;
mod selector;
mod spread;
mod storage;
mod template;
mod workloads;
#[cfg(test)]
mod world;

pub use configuration::{Config, Error as ConfigError};
pub use error::Error;
pub use run::run;

//! The control loops that make the cluster what its objects say.
//!
//! An [`informer`] keeps one kind of object in memory by list and watch; a
//! controller names the keys that a change concerns, and its work queue calls
//! `reconcile` for each of them: never twice at once for one key, again with
//! back-off after an error. A reconcile compares what is with what should be
//! and writes the difference; it may be run at any time and any number of times.
//!
//! What a controller has just written is put into the informer at once, so a
//! second reconcile sees it even before the watch brings it back.
//!
//! A controller is one file here (with a folder of its own where it is long)
//! and one line in [`run`].

mod autoscaler;
mod bootstrap_token;
mod cluster;
mod cluster_role_aggregation;
mod controller;
mod cron_job;
mod csr;
mod daemonset;
mod deployment;
mod disruption;
mod disruption_budget;
mod endpoint_mirror;
mod endpoint_slices;
mod endpoints;
mod error;
mod garbage_collector;
mod hash;
mod informer;
mod job;
mod key;
mod load_balancer;
mod merge_patch;
mod metrics;
mod namespace;
mod node_ipam;
mod node_lifecycle;
mod node_ttl;
mod object;
mod owner;
mod pod_gc;
mod queue;
mod replicaset;
mod resources;
mod revision;
mod root_ca;
mod run;
mod service_account;
mod service_pods;
mod statefulset;
mod taint_eviction;
mod trigger_time;
mod ttl_after_finished;
mod volumes;
mod workload;

pub use error::Error;
pub use run::{Config, run};

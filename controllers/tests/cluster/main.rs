//! The controllers against a real API server in a temporary directory, with a
//! pretended scheduler and kubelet: pods are put on nodes and become ready.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod autoscalers;
mod certificates;
mod cron_jobs;
mod daemon_sets;
mod deployments;
mod disruptions;
mod endpoints;
mod fake_node;
mod garbage;
mod job_failures;
mod jobs;
mod leavings;
mod load_balancers;
mod namespaces;
mod nodes;
mod operations;
mod preemption;
mod quotas;
mod replica_sets;
mod replication;
mod rollouts;
mod stateful_sets;
mod taints;
mod volumes;
mod watching;
mod world;

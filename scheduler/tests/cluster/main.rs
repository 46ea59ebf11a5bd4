//! The scheduler against a real API server and hollow nodes.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod conformance;
mod gates;
mod messages;
mod preemption;
mod profiles;
mod spreading;
mod volumes;
mod world;

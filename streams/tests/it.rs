//! Both ends of every protocol against each other, and real kubectl against the server's end.

#![expect(
    clippy::unwrap_used,
    reason = "test helpers fail the test that calls them"
)]

#[path = "it/exec.rs"]
mod exec;
#[path = "it/forward.rs"]
mod forward;
#[path = "it/kubectl.rs"]
mod kubectl;

//! The crate against the real kernel, in network namespaces made for each
//! test: the machine's own interfaces are never touched. Needs root.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on stops where it is"
)]

mod node;
mod pod_network;
mod proxy_tcp;
mod proxy_udp;
mod world;

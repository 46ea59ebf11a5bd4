//! The store from outside: real archives, a real registry, a real file system.

#![expect(
    clippy::unwrap_used,
    reason = "test helpers fail the test that calls them"
)]

#[path = "it/archives.rs"]
mod archives;
#[path = "it/fixture.rs"]
mod fixture;
#[path = "it/mirrors.rs"]
mod mirrors;
#[path = "it/registry.rs"]
mod registry;
#[path = "it/store.rs"]
mod store;

//! The cluster's memory: an append-only log of revisions, and watches over it.
//!
//! A write is acknowledged, and becomes visible to readers and watchers, only
//! after `fdatasync`: what anyone has seen survives power loss. Each write gets
//! the next revision; revisions never repeat and never go backwards, restarts
//! included. Readers see one revision at a time, the newest or an older one
//! that is not compacted yet. This crate knows nothing about pods: keys and
//! values are bytes.
//!
//! [`Store`] is the contract; [`Log`] is the embedded backend. The page about
//! it is `docs/design/store.md`.

pub mod backup;
mod contract;
pub mod disk;
mod error;
pub mod fence;
mod index;
mod log;
mod watch;

pub use contract::{Alarm, Change, Entry, Expect, Page, Range, Revision, State, Store, Value};
pub use error::Error;
pub use fence::Fence;
pub use log::{Log, Options};
pub use watch::{Hub, Signal, Source, Watch};

//! The cluster's memory on an external etcd v3 cluster, for several API
//! servers at once.
//!
//! Reads are linearizable: they show every write that anyone was told of.
//! A write is told as done only when etcd says so; one that got no answer is
//! told as [`store::Error::Unanswered`] and never sent again. All watches of a
//! server are fed by one watch of etcd, which resumes where it broke off.
//!
//! [`Etcd`] is the backend. The page about it is `docs/design/etcd.md`.

mod config;
mod etcd;
mod failure;
mod feed;
mod moving;
mod origin;
mod read;
mod root;
mod servers;
mod value;
mod write;

pub use config::{Config, Tls};
pub use etcd::Etcd;
pub use moving::{Difference, difference, fill};

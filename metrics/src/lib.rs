//! What the parts count about themselves, for Prometheus to read.
//!
//! A metric is a `static` [`Family`] beside the code that counts, with the name
//! that Kubernetes has for it; a part adds its families to the [`Registry`] of
//! where it runs when it starts. Counting is an atomic addition; what is hot
//! keeps the series that [`Family::with`] found. A family has so many series and
//! no more: label values of others' making cannot fill the memory.
//!
//! This crate serves nothing: the API server and the kubelet have a path
//! `/metrics`, and say who may read it.

mod family;
pub mod process;
mod registry;
pub mod rest_client;
mod series;
mod text;

pub use family::Family;
pub use registry::{Collect, NODE, PROCESS, Registry, SERVER};
pub use series::{Counter, Gauge, Histogram, Series};
pub use text::{CONTENT_TYPE, Kind, Labels, Text};

/// `count` bounds from `first`, each `factor` times the one before.
pub const fn exponential<const N: usize>(first: f64, factor: f64) -> [f64; N] {
    let mut bounds = [first; N];
    let mut at = 1;
    while at < N {
        bounds[at] = bounds[at - 1] * factor;
        at += 1;
    }
    bounds
}

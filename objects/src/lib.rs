//! What the cluster's clients agree on about objects: rules that scheduler,
//! controllers and kubelet must read alike, and how a small type of one's own
//! stands for a served kind.
//!
//! Pure functions over `k8s-openapi`'s types; no I/O.

pub mod labels;
pub mod node_selector;
mod served_as;
pub mod taints;

#[doc(hidden)]
pub use {k8s_openapi, kube};

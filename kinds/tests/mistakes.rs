//! Objects with a mistake, and what Kubernetes says of each.
//!
//! A row is a change to a good object and the lines it must be refused with: path, reason,
//! sentence. The good object itself must be accepted, so that nothing else is told.

#[path = "mistakes/batch.rs"]
mod batch;
#[path = "mistakes/change.rs"]
mod change;
#[path = "mistakes/networking.rs"]
mod networking;
#[path = "mistakes/pods.rs"]
mod pods;
#[path = "mistakes/rest.rs"]
mod rest;
#[path = "mistakes/services.rs"]
mod services;
#[path = "mistakes/storage.rs"]
mod storage;
#[path = "mistakes/updates.rs"]
mod updates;
#[path = "mistakes/volumes.rs"]
mod volumes;
#[path = "mistakes/workloads.rs"]
mod workloads;

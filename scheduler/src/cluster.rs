//! All that decisions are made from.

use crate::cache::Cache;
use crate::namespaces::Namespaces;
use crate::storage::Storage;
use crate::workloads::Workloads;

#[derive(Default)]
pub struct Cluster {
    pub cache: Cache,
    pub namespaces: Namespaces,
    pub storage: Storage,
    pub workloads: Workloads,
}

//! Volumes on the nodes' own disks, made when they are asked for.
//!
//! A node that keeps volumes says where, by an annotation. A claim of a class of
//! this provisioner gets a directory there, on the node that the scheduler chose;
//! the node's kubelet makes it when the first pod comes, and removes it when the
//! volume's time is over: it alone touches its disk, and only below that place.
//! For everybody else this is one provisioner among others, by the protocol that
//! all of Kubernetes' external provisioners follow.

mod class;
mod provision;
mod remove;

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::object::Node;
use crate::object::volume::annotation;

const PROVISIONER: &str = "skiff.dev/local-path";
/// On a node: the directory that its kubelet keeps volumes in.
const STORAGE_DIR: &str = "skiff.dev/storage-dir";
/// Keeps a volume until its directory is removed; the name that all external
/// provisioners use.
const FINALIZER: &str = "external-provisioner.volume.kubernetes.io/finalizer";
const HOSTNAME: &str = "kubernetes.io/hostname";

pub fn start(cluster: &Cluster, tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
    class::start(cluster, tasks, shutdown);
    provision::start(cluster, tasks, shutdown);
    remove::start(cluster, tasks, shutdown);
}

fn storage_dir(node: &Node) -> Option<&str> {
    let dir = annotation(&node.metadata, STORAGE_DIR)?;
    dir.starts_with('/').then(|| dir.trim_end_matches('/'))
}

/// The node of this host name.
fn node_of_host(cluster: &Cluster, host: &str) -> Option<Arc<Node>> {
    let mut nodes = cluster.nodes.all().into_iter();
    nodes.find(|node| node.label(HOSTNAME) == Some(host))
}

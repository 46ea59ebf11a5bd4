//! PersistentVolumes and the claims on them, from the first claim to the last byte.
//!
//! [`binder`] brings volumes and claims together; [`ephemeral`] makes the claims
//! that pods bring along; [`local_path`] makes volumes on nodes' own disks. What
//! is in use does not go: [`claim_protection`], [`volume_protection`]. All agree by
//! Kubernetes' annotations alone, with the scheduler too, so that each of them may
//! be another's: a CSI driver's provisioner, a scheduler of one's own.

mod annotations;
mod binder;
mod claim_protection;
mod claim_users;
mod ephemeral;
mod finalizer;
mod live_users;
mod local_path;
mod phase;
mod volume_protection;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use claim_users::ClaimUsers;

pub fn start(cluster: &Cluster, tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
    let users = ClaimUsers::follow(cluster);
    binder::start(cluster, &users, tasks, shutdown);
    ephemeral::start(cluster, &users, tasks, shutdown);
    local_path::start(cluster, tasks, shutdown);
    claim_protection::start(cluster, &users, tasks, shutdown);
    volume_protection::start(cluster, tasks, shutdown);
}

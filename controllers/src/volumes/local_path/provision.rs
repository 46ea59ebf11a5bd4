//! A volume for a claim that has its node.

use events::Recorder;
use k8s_openapi::api::core::v1 as core;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{FINALIZER, HOSTNAME, PROVISIONER, storage_dir};
use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::error::Error;
use crate::key::Key;
use crate::object::{Node, PersistentVolumeClaim, StorageClass};
use crate::queue::Queue;
use crate::volumes::annotations::{
    BIND_COMPLETED, PROVISIONED_BY, PROVISIONER as ASKED, PROVISIONER_BETA as ASKED_BETA,
    SELECTED_NODE,
};

const WORKERS: usize = 4;
/// The longest name of a file.
const LONGEST_NAME: usize = 255;

struct Provisioner {
    cluster: Cluster,
    recorder: Recorder,
}

/// Why a claim gets no volume.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// Not of this provisioner, whatever the node.
    Never(&'static str),
    /// Not on the node that was chosen; the scheduler may choose another.
    NotThere(String),
}

pub fn start(cluster: &Cluster, tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
    let queue = Queue::new();
    let claims = queue.clone();
    cluster.claims.on_change(move |_, new| {
        if let Some(claim) = new.filter(|claim| is_ours_to_serve(claim)) {
            claims.add(Key::of(claim));
        }
    });
    let controller = Provisioner {
        cluster: cluster.clone(),
        recorder: cluster.events.recorder(PROVISIONER),
    };
    controller::start(tasks, controller, queue, WORKERS, shutdown);
}

fn is_ours_to_serve(claim: &PersistentVolumeClaim) -> bool {
    let asked = claim.annotation(ASKED).or(claim.annotation(ASKED_BETA));
    asked == Some(PROVISIONER)
        && claim.volume().is_none()
        && claim.annotation(BIND_COMPLETED).is_none()
        && !claim.is_ending()
}

impl Controller for Provisioner {
    const NAME: &'static str = "local-path-provisioner";

    async fn informed(&self) {
        self.cluster.claims.synced().await;
        self.cluster.persistent_volumes.synced().await;
        self.cluster.storage_classes.synced().await;
        self.cluster.nodes.synced().await;
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let claim = self.cluster.claims.get(key);
        let Some(claim) = claim.filter(|claim| is_ours_to_serve(claim)) else {
            return Ok(Next::WhenChanged);
        };
        let name = format!("pvc-{}", claim.uid().unwrap_or_default());
        let volumes = &self.cluster.persistent_volumes;
        let class = self
            .cluster
            .storage_classes
            .get(&Key::new("", claim.class()));
        let Some(class) = class.filter(|_| volumes.get(&Key::new("", &name)).is_none()) else {
            return Ok(Next::WhenChanged);
        };
        match self.volume(&claim, &class, &name) {
            Ok(volume) => self.make(&claim, volume, &name).await?,
            Err(refusal) => self.refuse(&claim, refusal).await?,
        }
        Ok(Next::WhenChanged)
    }
}

impl Provisioner {
    async fn make(
        &self,
        claim: &PersistentVolumeClaim,
        volume: Value,
        name: &str,
    ) -> Result<(), Error> {
        let message = format!(
            "External provisioner is provisioning volume for claim \"{}\"",
            Key::of(claim)
        );
        self.recorder.normal(claim, "Provisioning", message);
        let volume: core::PersistentVolume =
            serde_json::from_value(volume).expect("what volume() writes is a volume");
        let api: Api<core::PersistentVolume> = Api::all(self.cluster.client.clone());
        let made = api.create(&PostParams::default(), &volume).await;
        let key = Key::new("", name);
        controller::unless_there(made).map_err(Error::api("create", "PersistentVolume", &key))?;
        let message = format!("Successfully provisioned volume {name}");
        self.recorder
            .normal(claim, "ProvisioningSucceeded", message);
        Ok(())
    }

    fn volume(
        &self,
        claim: &PersistentVolumeClaim,
        class: &StorageClass,
        name: &str,
    ) -> Result<Value, Refusal> {
        check(claim, class)?;
        let no_node = Refusal::Never("configuration error, no node was specified");
        let node = claim.annotation(SELECTED_NODE).ok_or(no_node)?;
        let found = self.cluster.nodes.get(&Key::new("", node));
        let place = found.as_deref().and_then(place);
        let (dir, host) = place
            .ok_or_else(|| Refusal::NotThere(format!("node \"{node}\" does not keep volumes")))?;
        Ok(json!({
            "metadata": {
                "name": name,
                "annotations": { PROVISIONED_BY: PROVISIONER },
                "finalizers": [FINALIZER],
            },
            "spec": {
                "accessModes": claim.spec.access_modes,
                "capacity": { "storage": claim.spec.resources.requests.get("storage") },
                "claimRef": events::reference(claim),
                "local": { "path": format!("{dir}/{}", directory(name, &Key::of(claim))) },
                "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": [
                    { "key": HOSTNAME, "operator": "In", "values": [host] }
                ] }] } },
                "persistentVolumeReclaimPolicy": class.reclaim_policy.as_deref().unwrap_or("Delete"),
                "storageClassName": class.name(),
                "volumeMode": "Filesystem",
            },
        }))
    }

    async fn refuse(&self, claim: &PersistentVolumeClaim, refusal: Refusal) -> Result<(), Error> {
        let (why, is_final) = match refusal {
            Refusal::Never(why) => (why.to_owned(), true),
            Refusal::NotThere(why) => (why, false),
        };
        let class = claim.class();
        let message = format!("failed to provision volume with StorageClass \"{class}\": {why}");
        self.recorder.warning(claim, "ProvisioningFailed", message);
        if is_final {
            return Ok(());
        }
        let key = Key::of(claim);
        let api: Api<PersistentVolumeClaim> =
            Api::namespaced(self.cluster.client.clone(), &key.namespace);
        let patch = json!({ "metadata": {
            "resourceVersion": claim.metadata.resource_version,
            "annotations": { SELECTED_NODE: null },
        } });
        let patched = api
            .patch(&key.name, &PatchParams::default(), &Patch::Merge(patch))
            .await;
        let patched = patched.map_err(Error::api("give back", "PersistentVolumeClaim", &key))?;
        self.cluster.claims.note(patched);
        Ok(())
    }
}

/// Where a node keeps volumes, and the host name it is known by.
fn place(node: &Node) -> Option<(&str, &str)> {
    Some((storage_dir(node)?, node.label(HOSTNAME)?))
}

/// What a directory of one node cannot be.
fn check(claim: &PersistentVolumeClaim, class: &StorageClass) -> Result<(), Refusal> {
    let of_one_node = |mode: &String| matches!(&**mode, "ReadWriteOnce" | "ReadWriteOncePod");
    let spec = &claim.spec;
    let why = if !spec.access_modes.iter().all(of_one_node) {
        "only the access modes ReadWriteOnce and ReadWriteOncePod are supported: the volume is on one node"
    } else if claim.mode() != "Filesystem" {
        "only volumeMode Filesystem is supported"
    } else if spec.selector.is_some() {
        "claim.spec.selector is not supported"
    } else if spec.data_source.is_some() || spec.data_source_ref.is_some() {
        "a dataSource is not supported"
    } else if class.mount_options.iter().flatten().next().is_some() {
        "mount options are not supported"
    } else {
        return Ok(());
    };
    Err(Refusal::Never(why))
}

/// `pvc-<uid>_<namespace>_<claim>`, as far as a file's name may go: the uid alone
/// tells it apart, the rest is for people.
fn directory(volume: &str, claim: &Key) -> String {
    let mut name = format!("{volume}_{}_{}", claim.namespace, claim.name);
    name.truncate(name.floor_char_boundary(LONGEST_NAME));
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(spec: Value, class: Value) -> Result<(), Refusal> {
        let claim = json!({ "metadata": {}, "spec": spec });
        check(
            &serde_json::from_value(claim).unwrap(),
            &serde_json::from_value(class).unwrap(),
        )
    }

    #[test]
    fn directory_of_one_node_is_for_one_node() {
        let class = json!({ "metadata": {}, "provisioner": PROVISIONER });
        let modes = |modes: Value| json!({ "accessModes": modes });
        assert_eq!(
            checked(modes(json!(["ReadWriteOnce"])), class.clone()),
            Ok(())
        );
        for refused in [
            modes(json!(["ReadWriteOnce", "ReadWriteMany"])),
            json!({ "volumeMode": "Block" }),
            json!({ "selector": {} }),
            json!({ "dataSource": { "kind": "PersistentVolumeClaim", "name": "c" } }),
        ] {
            assert!(
                checked(refused.clone(), class.clone()).is_err(),
                "{refused}"
            );
        }
        let mounts = json!({ "metadata": {}, "mountOptions": ["ro"] });
        assert!(checked(json!({}), mounts).is_err());
    }

    #[test]
    fn directory_has_a_name_that_files_may_have() {
        let name = directory("pvc-u", &Key::new("n", "data"));
        assert_eq!(name, "pvc-u_n_data");
        let long = directory("pvc-u", &Key::new("n", &"x".repeat(253)));
        assert_eq!(long.len(), 255);
    }
}

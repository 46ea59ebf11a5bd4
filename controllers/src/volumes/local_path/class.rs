//! The StorageClass `local-path`, the default of a new cluster.
//!
//! It is made once in a cluster's life, when the first node comes that keeps
//! volumes. Whoever changes or deletes it means it: nobody makes it again.

use k8s_openapi::api::storage::v1 as storage;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{PROVISIONER, storage_dir};
use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::error::Error;
use crate::key::Key;
use crate::object::volume::annotation;
use crate::object::{Namespace, StorageClass};
use crate::queue::Queue;

const NAME: &str = "local-path";
/// Where it is remembered that the class was made.
const NAMESPACE: &str = "kube-system";
const MADE: &str = "skiff.dev/storage-class-made";

struct Class {
    cluster: Cluster,
}

pub fn start(cluster: &Cluster, tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
    let queue = Queue::new();
    let class = || Key::new("", NAME);
    let nodes = queue.clone();
    cluster.nodes.on_change(move |old, new| {
        let keeps_volumes = |node| storage_dir(node).is_some();
        if new.is_some_and(keeps_volumes) && !old.is_some_and(keeps_volumes) {
            nodes.add(class());
        }
    });
    let namespaces = queue.clone();
    cluster.namespaces.on_change(move |old, new| {
        let name = new.and_then(|namespace| namespace.metadata.name.as_deref());
        if name == Some(NAMESPACE) && old.is_none() {
            namespaces.add(class());
        }
    });
    let controller = Class {
        cluster: cluster.clone(),
    };
    controller::start(tasks, controller, queue, 1, shutdown);
}

impl Controller for Class {
    const NAME: &'static str = "local-path-class";

    async fn informed(&self) {
        self.cluster.nodes.synced().await;
        self.cluster.namespaces.synced().await;
        self.cluster.storage_classes.synced().await;
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let nodes = self.cluster.nodes.all();
        let namespace = self.cluster.namespaces.get(&Key::new("", NAMESPACE));
        let namespace = namespace.filter(|n| annotation(&n.metadata, MADE).is_none());
        if namespace.is_none() || !nodes.iter().any(|node| storage_dir(node).is_some()) {
            return Ok(Next::WhenChanged);
        }
        let api: Api<storage::StorageClass> = Api::all(self.cluster.client.clone());
        let made = api.create(&PostParams::default(), &self.class()).await;
        controller::unless_there(made).map_err(Error::api("create", "StorageClass", key))?;
        self.remember().await?;
        Ok(Next::WhenChanged)
    }
}

impl Class {
    fn class(&self) -> storage::StorageClass {
        // Where people have chosen a default, ours is one to ask for.
        let classes = self.cluster.storage_classes.all();
        let is_default = !classes.iter().any(|class| StorageClass::is_default(class));
        let annotation = "storageclass.kubernetes.io/is-default-class".to_owned();
        storage::StorageClass {
            metadata: kube::api::ObjectMeta {
                name: Some(NAME.to_owned()),
                annotations: is_default.then(|| [(annotation, "true".to_owned())].into()),
                ..kube::api::ObjectMeta::default()
            },
            provisioner: PROVISIONER.to_owned(),
            reclaim_policy: Some("Delete".to_owned()),
            volume_binding_mode: Some("WaitForFirstConsumer".to_owned()),
            ..storage::StorageClass::default()
        }
    }

    async fn remember(&self) -> Result<(), Error> {
        let api: Api<Namespace> = Api::all(self.cluster.client.clone());
        let patch = json!({ "metadata": { "annotations": { MADE: NAME } } });
        let patched = api
            .patch(NAMESPACE, &PatchParams::default(), &Patch::Merge(patch))
            .await;
        let key = Key::new("", NAMESPACE);
        let patched = patched.map_err(Error::api("annotate", "Namespace", &key))?;
        self.cluster.namespaces.note(patched);
        Ok(())
    }
}

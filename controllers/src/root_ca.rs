//! Every namespace has a ConfigMap with the certificate that its pods are to
//! know the API server by.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::error::Error;
use crate::key::Key;
use crate::queue::Queue;
use crate::run::Config;

const NAME: &str = "kube-root-ca.crt";
const ENTRY: &str = "ca.crt";
const DESCRIPTION: &str = "kubernetes.io/description";
/// The value that clients of Kubernetes find there.
const DESCRIBED: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";

struct RootCas {
    cluster: Cluster,
    data: BTreeMap<String, String>,
}

pub fn start(
    config: &Config,
    cluster: &Cluster,
    tasks: &mut JoinSet<()>,
    shutdown: &CancellationToken,
) {
    let queue = Queue::new();
    controller::notice(&cluster.namespaces, &queue);
    let maps = queue.clone();
    cluster.root_cas.on_change(move |old, new| {
        if let Some(map) = new.or(old) {
            maps.add(controller::namespace_of(map));
        }
    });
    let controller = RootCas {
        cluster: cluster.clone(),
        data: BTreeMap::from([(ENTRY.to_owned(), config.authority.cert_pem().to_owned())]),
    };
    controller::start(tasks, controller, queue, 2, shutdown);
}

impl Controller for RootCas {
    const NAME: &'static str = "root-ca";

    async fn informed(&self) {
        self.cluster.namespaces.synced().await;
        self.cluster.root_cas.synced().await;
    }

    async fn reconcile(&self, namespace: &Key) -> Result<Next, Error> {
        let key = Key::new(&namespace.name, NAME);
        let is_active = |key| {
            self.cluster
                .namespaces
                .get(key)
                .is_some_and(|n| n.is_active())
        };
        if !is_active(namespace) {
            return Ok(Next::WhenChanged);
        }
        match self.cluster.root_cas.get(&key) {
            None => self.create(&key).await?,
            Some(map) if map.data.as_ref() != Some(&self.data) => self.restore(&key, &map).await?,
            Some(_) => {}
        }
        Ok(Next::WhenChanged)
    }
}

impl RootCas {
    fn api(&self, key: &Key) -> Api<ConfigMap> {
        Api::namespaced(self.cluster.client.clone(), &key.namespace)
    }

    async fn create(&self, key: &Key) -> Result<(), Error> {
        let map = ConfigMap {
            metadata: ObjectMeta {
                name: Some(NAME.into()),
                annotations: Some(BTreeMap::from([(DESCRIPTION.into(), DESCRIBED.into())])),
                ..ObjectMeta::default()
            },
            data: Some(self.data.clone()),
            ..ConfigMap::default()
        };
        let made = self.api(key).create(&PostParams::default(), &map).await;
        let made =
            controller::unless_there(made).map_err(Error::api("create", "ConfigMap", key))?;
        if let Some(map) = made {
            self.cluster.root_cas.note(map);
        }
        Ok(())
    }

    async fn restore(&self, key: &Key, map: &ConfigMap) -> Result<(), Error> {
        let patch = json!({
            "metadata": { "resourceVersion": map.metadata.resource_version },
            "data": self.data,
        });
        let params = PatchParams::default();
        let patched = self
            .api(key)
            .patch(NAME, &params, &Patch::Merge(patch))
            .await
            .map_err(Error::api("restore", "ConfigMap", key))?;
        self.cluster.root_cas.note(patched);
        Ok(())
    }
}

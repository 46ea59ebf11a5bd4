//! Pods of a silent node are not ready: nobody knows how they are.

use futures::stream::{self, TryStreamExt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::NodeLifecycle;
use crate::error::Error;
use crate::key::Key;
use crate::object::Pod;

const AT_ONCE: usize = 16;

impl NodeLifecycle {
    pub(super) async fn mark_pods_unready(&self, node: &Key) -> Result<(), Error> {
        let pods = self.cluster.pods_on(&node.name);
        let ready = pods.into_iter().filter(|pod| pod.is_ready());
        stream::iter(ready.map(Ok))
            .try_for_each_concurrent(AT_ONCE, |pod| async move { self.mark_unready(&pod).await })
            .await
    }

    async fn mark_unready(&self, pod: &Pod) -> Result<(), Error> {
        let key = Key::of(pod);
        let now = Time(jiff::Timestamp::now());
        let patch = json!({
            "metadata": { "uid": pod.metadata.uid },
            "status": { "conditions": [{ "type": "Ready", "status": "False", "lastTransitionTime": now }] },
        });
        let api: Api<Pod> = Api::namespaced(self.cluster.client.clone(), &key.namespace);
        let patched = api
            .patch_status(&key.name, &PatchParams::default(), &Patch::Strategic(patch))
            .await;
        match patched {
            Ok(pod) => self.cluster.pods.note(pod),
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(source) => return Err(Error::api("write status of", "Pod", &key)(source)),
        }
        self.recorder
            .warning(pod, "NodeNotReady", "Node is not ready".to_owned());
        Ok(())
    }
}

//! The node's heartbeat: a Lease renewed every ten seconds.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::watch;

const NAMESPACE: &str = "kube-node-lease";
/// A node whose lease is older is given up.
const DURATION_SECONDS: i32 = 40;
const PERIOD: Duration = Duration::from_secs(10);
/// While the API server is away.
const RETRY: Duration = Duration::from_secs(2);

pub struct Heart {
    api: Api<Lease>,
    name: String,
    node: watch::Receiver<Arc<Node>>,
}

impl Heart {
    pub fn new(client: Client, name: &str, node: watch::Receiver<Arc<Node>>) -> Self {
        Self {
            api: Api::namespaced(client, NAMESPACE),
            name: name.to_owned(),
            node,
        }
    }

    /// Beats for ever.
    pub async fn beat(&self) {
        loop {
            let pause = match self.renew().await {
                Ok(()) => PERIOD,
                Err(e) => {
                    tracing::debug!("renew the node's lease: {e}");
                    RETRY
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn renew(&self) -> kube::Result<()> {
        let now = MicroTime(Timestamp::now());
        let patch = json!({"spec": {"holderIdentity": self.name, "leaseDurationSeconds": DURATION_SECONDS, "renewTime": now}});
        let params = PatchParams::default();
        match self
            .api
            .patch(&self.name, &params, &Patch::Merge(patch))
            .await
        {
            Err(kube::Error::Api(status)) if status.code == 404 => self
                .api
                .create(&PostParams::default(), &self.lease(now))
                .await
                .map(drop),
            renewed => renewed.map(drop),
        }
    }

    fn lease(&self, now: MicroTime) -> Lease {
        let owner = OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Node".to_owned(),
            name: self.name.clone(),
            uid: self.node.borrow().metadata.uid.clone().unwrap_or_default(),
            ..OwnerReference::default()
        };
        Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                owner_references: (!owner.uid.is_empty()).then(|| vec![owner]),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.name.clone()),
                lease_duration_seconds: Some(DURATION_SECONDS),
                renew_time: Some(now),
                ..LeaseSpec::default()
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_api::{FakeApi, refusal};

    fn heart(api: &FakeApi) -> Heart {
        let node: Node =
            serde_json::from_value(json!({"metadata": {"name": "n1", "uid": "u"}})).unwrap();
        Heart::new(api.client(), "n1", watch::channel(Arc::new(node)).1)
    }

    #[tokio::test]
    async fn a_beat_renews_the_lease_of_this_node() {
        let api = FakeApi::new(&[]);
        heart(&api).renew().await.unwrap();
        let asked = api.asked();
        assert_eq!(
            api.lines(),
            ["PATCH /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1"]
        );
        assert_eq!(asked[0].body["spec"]["holderIdentity"], "n1");
        assert_eq!(asked[0].body["spec"]["leaseDurationSeconds"], 40);
    }

    #[tokio::test]
    async fn a_lease_that_is_missing_is_made_and_belongs_to_the_node() {
        let api = FakeApi::new(&[refusal(404)]);
        heart(&api).renew().await.unwrap();
        let asked = api.asked();
        assert_eq!((asked.len(), asked[1].method.as_str()), (2, "POST"));
        assert_eq!(asked[1].body["metadata"]["ownerReferences"][0]["uid"], "u");
    }
}

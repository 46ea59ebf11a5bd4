//! Every namespace has a service account `default`, for pods that name none.

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::error::Error;
use crate::key::Key;
use crate::queue::Queue;

const NAME: &str = "default";

struct ServiceAccounts {
    cluster: Cluster,
}

pub fn start(cluster: &Cluster, tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
    let queue = Queue::new();
    controller::notice(&cluster.namespaces, &queue);
    let accounts = queue.clone();
    cluster.service_accounts.on_change(move |old, new| {
        if let (Some(lost), None) = (old, new) {
            accounts.add(controller::namespace_of(lost));
        }
    });
    let controller = ServiceAccounts {
        cluster: cluster.clone(),
    };
    controller::start(tasks, controller, queue, 2, shutdown);
}

impl Controller for ServiceAccounts {
    const NAME: &'static str = "serviceaccount";

    async fn informed(&self) {
        self.cluster.namespaces.synced().await;
        self.cluster.service_accounts.synced().await;
    }

    async fn reconcile(&self, namespace: &Key) -> Result<Next, Error> {
        let key = Key::new(&namespace.name, NAME);
        let is_active = |key| {
            self.cluster
                .namespaces
                .get(key)
                .is_some_and(|n| n.is_active())
        };
        if !is_active(namespace) || self.cluster.service_accounts.get(&key).is_some() {
            return Ok(Next::WhenChanged);
        }
        let account = ServiceAccount {
            metadata: ObjectMeta {
                name: Some(NAME.into()),
                ..ObjectMeta::default()
            },
            ..ServiceAccount::default()
        };
        let api: Api<ServiceAccount> = Api::namespaced(self.cluster.client.clone(), &key.namespace);
        let made = api.create(&PostParams::default(), &account).await;
        let made =
            controller::unless_there(made).map_err(Error::api("create", "ServiceAccount", &key))?;
        if let Some(account) = made {
            self.cluster.service_accounts.note(account);
        }
        Ok(Next::WhenChanged)
    }
}

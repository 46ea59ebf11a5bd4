//! Bootstrap tokens end when they say so: an expired one is removed.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, Preconditions};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::error::Error;
use crate::key::Key;
use crate::queue::Queue;

const NAMESPACE: &str = "kube-system";

struct BootstrapTokens {
    cluster: Cluster,
}

pub fn start(cluster: &Cluster, tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
    let queue = Queue::new();
    controller::notice(&cluster.bootstrap_tokens, &queue);
    let controller = BootstrapTokens {
        cluster: cluster.clone(),
    };
    controller::start(tasks, controller, queue, 1, shutdown);
}

impl Controller for BootstrapTokens {
    const NAME: &'static str = "bootstrap-token";

    async fn informed(&self) {
        self.cluster.bootstrap_tokens.synced().await;
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let token = self.cluster.bootstrap_tokens.get(key);
        let token = token.filter(|_| &*key.namespace == NAMESPACE);
        let Some((token, end)) = token.and_then(|t| expiration(&t).map(|end| (t, end))) else {
            return Ok(Next::WhenChanged);
        };
        let now = Timestamp::now();
        if end > now {
            let wait = Duration::try_from(end.duration_since(now)).unwrap_or_default();
            return Ok(Next::After(wait));
        }
        let params = DeleteParams::default().preconditions(Preconditions {
            uid: token.metadata.uid.clone(),
            resource_version: None,
        });
        let api: Api<Secret> = Api::namespaced(self.cluster.client.clone(), NAMESPACE);
        match api.delete(&key.name, &params).await {
            Ok(_) => Ok(Next::WhenChanged),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Next::WhenChanged),
            Err(source) => Err(Error::api("remove", "Secret", key)(source)),
        }
    }
}

/// None for a token that does not end. One whose end cannot be read has ended:
/// nobody meant it to live forever.
fn expiration(token: &Secret) -> Option<Timestamp> {
    let text = &token.data.as_ref()?.get("expiration")?.0;
    let parsed = std::str::from_utf8(text)
        .ok()
        .and_then(|t| t.trim().parse().ok());
    Some(parsed.unwrap_or(Timestamp::MIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;
    use std::collections::BTreeMap;

    fn token(expiration: Option<&str>) -> Secret {
        let entry = expiration.map(|e| ("expiration".to_owned(), ByteString(e.into())));
        Secret {
            data: Some(BTreeMap::from_iter(entry)),
            ..Secret::default()
        }
    }

    #[test]
    fn token_ends_when_it_says_so() {
        let end = expiration(&token(Some("2026-01-01T00:00:00Z"))).unwrap();
        assert_eq!(end.to_string(), "2026-01-01T00:00:00Z");
        assert_eq!(expiration(&token(None)), None);
        assert_eq!(expiration(&token(Some("soon"))), Some(Timestamp::MIN));
    }
}

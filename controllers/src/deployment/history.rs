//! Forgetting ReplicaSets beyond `revisionHistoryLimit`.

use kube::Api;
use kube::api::{DeleteParams, PropagationPolicy};

use super::{Deployments, Rollout, annotation, status};
use crate::error::Error;
use crate::key::Key;
use crate::object::ReplicaSet;

impl Deployments {
    /// Deletes the oldest empty sets once the rollout is complete.
    pub(super) async fn clean_up(&self, rollout: &Rollout) -> Result<(), Error> {
        let limit = rollout.deployment.spec.revision_history_limit;
        let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) else {
            return Ok(());
        };
        if !status::is_complete(rollout) && !rollout.deployment.spec.paused {
            return Ok(());
        }
        let mut empty: Vec<_> = rollout.old.iter().filter(|set| is_empty(set)).collect();
        empty.sort_by_key(|set| annotation::revision(&***set));
        let surplus = empty.len().saturating_sub(limit);
        for set in empty.into_iter().take(surplus) {
            self.delete_set(set).await?;
        }
        Ok(())
    }

    async fn delete_set(&self, set: &ReplicaSet) -> Result<(), Error> {
        let key = Key::of(set);
        let api: Api<ReplicaSet> = Api::namespaced(self.cluster.client.clone(), &key.namespace);
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        match api.delete(&key.name, &params).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(source) => Err(Error::api("delete", "ReplicaSet", &key)(source)),
        }
    }
}

fn is_empty(set: &ReplicaSet) -> bool {
    set.spec.replicas == 0
        && set.status.replicas == 0
        && set.status.observed_generation >= set.metadata.generation
        && set.metadata.deletion_timestamp.is_none()
}

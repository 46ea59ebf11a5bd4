//! ClusterRoles that are put together of others: the rules of all that the
//! `aggregationRule` selects, each once.

use std::sync::Arc;

use apimachinery::selector::LabelSelector;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::error::Error;
use crate::key::Key;
use crate::owner;
use crate::queue::Queue;

const WORKERS: usize = 1;
const MANAGER: &str = "clusterrole-aggregation-controller";

struct ClusterRoleAggregation {
    cluster: Cluster,
}

pub fn start(cluster: &Cluster, tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
    let queue = Queue::new();
    let (changed, roles) = (queue.clone(), cluster.cluster_roles.clone());
    // Any role may be a part of any other, or just have stopped to be one.
    cluster.cluster_roles.on_change(move |_, _| {
        for role in roles.all() {
            if role.aggregation_rule.is_some() {
                changed.add(Key::of(&*role));
            }
        }
    });
    let controller = ClusterRoleAggregation {
        cluster: cluster.clone(),
    };
    controller::start(tasks, controller, queue, WORKERS, shutdown);
}

impl Controller for ClusterRoleAggregation {
    const NAME: &'static str = "clusterrole-aggregation";

    async fn informed(&self) {
        self.cluster.cluster_roles.synced().await;
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(role) = self.cluster.cluster_roles.get(key) else {
            return Ok(Next::WhenChanged);
        };
        let Some(rules) = rules(&role, &self.cluster.cluster_roles.all()) else {
            return Ok(Next::WhenChanged);
        };
        if role.rules.as_deref().unwrap_or_default() == rules {
            return Ok(Next::WhenChanged);
        }
        let whole = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": { "name": key.name, "uid": role.metadata.uid }, "rules": rules });
        let api: Api<ClusterRole> = Api::all(self.cluster.client.clone());
        let params = PatchParams::apply(MANAGER).force();
        let applied = api
            .patch(&key.name, &params, &Patch::Apply(whole))
            .await
            .map_err(Error::api("apply rules of", "ClusterRole", key))?;
        self.cluster.cluster_roles.note(applied);
        Ok(Next::WhenChanged)
    }
}

/// The rules that a role is put together of, in the order of their roles'
/// names; nothing for a role that has rules of its own.
fn rules(role: &ClusterRole, all: &[Arc<ClusterRole>]) -> Option<Vec<PolicyRule>> {
    let selectors = role
        .aggregation_rule
        .as_ref()?
        .cluster_role_selectors
        .iter();
    let mut rules: Vec<PolicyRule> = Vec::new();
    for selector in selectors.flatten() {
        // A selector that says nothing sensible selects nothing.
        let selector = LabelSelector::from_object(&json!(selector));
        let selector = selector.unwrap_or_else(|_| LabelSelector::nothing());
        let parts = all.iter().filter(|part| {
            part.metadata.name != role.metadata.name && is_selected(&selector, part)
        });
        for rule in parts.flat_map(|part| part.rules.iter().flatten()) {
            if !rules.contains(rule) {
                rules.push(rule.clone());
            }
        }
    }
    Some(rules)
}

fn is_selected(selector: &LabelSelector, role: &ClusterRole) -> bool {
    let labels = role.metadata.labels.as_ref();
    owner::selects(selector, |name| labels?.get(name).map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn role(name: &str, label: &str, resources: &[&str], aggregates: Value) -> Arc<ClusterRole> {
        let rules: Vec<_> = resources
            .iter()
            .map(|r| json!({ "apiGroups": [""], "resources": [r], "verbs": ["get"] }))
            .collect();
        let role = json!({ "metadata": { "name": name, "labels": { "to": label } },
            "rules": rules, "aggregationRule": aggregates });
        Arc::new(serde_json::from_value(role).unwrap())
    }

    #[test]
    fn role_has_each_rule_of_its_parts_once_and_never_its_own() {
        let of_x = json!({ "clusterRoleSelectors": [{ "matchLabels": { "to": "x" } }, { "matchLabels": { "to": "y" } }] });
        let all = [
            role("a", "x", &["pods", "services"], Value::Null),
            role("b", "y", &["pods", "nodes"], Value::Null),
            role("c", "z", &["secrets"], Value::Null),
            role("whole", "x", &["events"], of_x),
        ];
        let names = |role: &ClusterRole| {
            let rules = rules(role, &all)?;
            Some(
                rules
                    .into_iter()
                    .filter_map(|r| r.resources?.pop())
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(
            names(&all[3]),
            Some(["pods", "services", "nodes"].map(String::from).into())
        );
        assert_eq!(names(&all[0]), None);
    }

    #[test]
    fn selector_that_is_left_out_selects_nothing() {
        let nothing = role("whole", "", &["events"], json!({}));
        assert_eq!(
            rules(&nothing, &[role("a", "x", &["pods"], Value::Null)]),
            Some(Vec::new())
        );
    }
}

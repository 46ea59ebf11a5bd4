//! Everything that the API server serves, by discovery.

use std::collections::HashSet;

use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::core::discovery::v2::{APIGroupDiscovery, APIResourceDiscovery, APIVersionDiscovery};
use kube::{Api, Client};

/// One resource, in the version that its group prefers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    pub api: ApiResource,
    pub is_namespaced: bool,
    verbs: Vec<String>,
}

/// What discovery found.
#[derive(Debug, Default)]
pub struct Served {
    pub resources: Vec<Resource>,
    /// Group-versions whose servers did not answer; what they hold is unknown.
    pub silent: Vec<String>,
}

impl Resource {
    #[cfg(test)]
    pub fn new(api: ApiResource, is_namespaced: bool) -> Self {
        let verbs = Vec::new();
        Self {
            api,
            is_namespaced,
            verbs,
        }
    }

    pub fn allows(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| v == verb)
    }

    /// `pods`, `deployments.apps`.
    pub fn full_name(&self) -> String {
        if self.api.group.is_empty() {
            return self.api.plural.clone();
        }
        format!("{}.{}", self.api.plural, self.api.group)
    }

    /// The API of this resource in `namespace`; all of it where that is empty.
    pub fn api(&self, client: &Client, namespace: &str) -> Api<DynamicObject> {
        if namespace.is_empty() {
            return Api::all_with(client.clone(), &self.api);
        }
        Api::namespaced_with(client.clone(), namespace, &self.api)
    }

    pub fn is(&self, group: &str, plural: &str) -> bool {
        self.api.group == group && self.api.plural == plural
    }
}

/// Asks the API server for all that it serves.
pub async fn discover(client: &Client) -> Result<Served, kube::Error> {
    let core = client.list_core_api_versions_aggregated().await?;
    let groups = client.list_api_groups_aggregated().await?;
    let mut served = Served::default();
    for group in core.items.into_iter().chain(groups.items) {
        served.add(group);
    }
    Ok(served)
}

impl Served {
    fn add(&mut self, group: APIGroupDiscovery) {
        let name = group.metadata.and_then(|m| m.name).unwrap_or_default();
        let mut known = HashSet::new();
        // The preferred version comes first.
        for version in group.versions {
            let number = version.version.clone().unwrap_or_default();
            if version.freshness.as_deref() == Some("Stale") {
                self.silent.push(format!("{name}/{number}"));
            }
            self.add_version(&name, &number, version, &mut known);
        }
    }

    fn add_version(
        &mut self,
        group: &str,
        number: &str,
        version: APIVersionDiscovery,
        known: &mut HashSet<String>,
    ) {
        for found in version.resources {
            let Some(plural) = found.resource.clone() else {
                continue;
            };
            if known.insert(plural.clone()) {
                self.resources.push(resource(group, number, &plural, found));
            }
        }
    }

    /// The resource of an object that says it is of this group and kind.
    pub fn of_kind(&self, group: &str, kind: &str) -> Option<&Resource> {
        let mut resources = self.resources.iter();
        resources.find(|r| r.api.group == group && r.api.kind == kind && r.allows("get"))
    }
}

fn resource(group: &str, number: &str, plural: &str, found: APIResourceDiscovery) -> Resource {
    let served = found.response_kind.unwrap_or_default();
    let part = |own: Option<String>, inherited: &str| {
        own.filter(|text| !text.is_empty())
            .unwrap_or_else(|| inherited.to_owned())
    };
    let gvk = GroupVersionKind {
        group: part(served.group, group),
        version: part(served.version, number),
        kind: served.kind.unwrap_or_default(),
    };
    Resource {
        api: ApiResource::from_gvk_with_plural(&gvk, plural),
        is_namespaced: found.scope.as_deref() == Some("Namespaced"),
        verbs: found.verbs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_resource_is_taken_once_in_the_preferred_version() {
        let group = json!({ "metadata": { "name": "g.io" }, "versions": [
            { "version": "v2", "resources": [
                { "resource": "as", "responseKind": { "group": "", "version": "", "kind": "A" }, "scope": "Namespaced", "verbs": ["get", "list"] }] },
            { "version": "v1", "freshness": "Stale", "resources": [
                { "resource": "as", "responseKind": { "kind": "A" }, "scope": "Namespaced", "verbs": ["get"] },
                { "resource": "bs", "responseKind": { "kind": "B" }, "scope": "Cluster", "verbs": ["get"] }] }] });
        let mut served = Served::default();
        served.add(serde_json::from_value(group).unwrap());
        let found: Vec<_> = served
            .resources
            .iter()
            .map(|r| (r.full_name(), r.api.api_version.clone(), r.is_namespaced))
            .collect();
        assert_eq!(
            found,
            [
                ("as.g.io".into(), "g.io/v2".into(), true),
                ("bs.g.io".into(), "g.io/v1".into(), false)
            ]
        );
        assert_eq!(served.silent, ["g.io/v1"]);
        assert!(served.of_kind("g.io", "B").is_some());
        assert!(served.of_kind("", "B").is_none());
    }
}

//! Which kinds of objects the API server has, by aggregated discovery
//! (KEP-3352): two requests, whatever it serves.

use http::{Request, header};
use kube::Client;
use serde::Deserialize;

const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// One kind of object in its preferred version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub plural: String,
    singular: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub namespaced: bool,
    pub verbs: Vec<String>,
    /// The version that is meant where none is named.
    pub is_preferred: bool,
}

impl Resource {
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            return self.version.clone();
        }
        format!("{}/{}", self.group, self.version)
    }

    pub fn root(&self) -> String {
        if self.group.is_empty() {
            return format!("/api/{}", self.version);
        }
        format!("/apis/{}/{}", self.group, self.version)
    }

    pub fn singular(&self) -> String {
        if self.singular.is_empty() {
            return self.kind.to_lowercase();
        }
        self.singular.clone()
    }

    /// Whether a person who types `word` means this: `po`, `pod`, `pods`,
    /// `Deployment`, `deployments.apps`, `deployments.v1.apps`.
    pub fn is_called(&self, word: &str) -> bool {
        let lower = word.to_lowercase();
        let (name, rest) = lower.split_once('.').unwrap_or((&lower, ""));
        let is_named = name == self.plural
            || name == self.singular()
            || self.short_names.iter().any(|s| s == name);
        let versioned = format!("{}.{}", self.version, self.group);
        is_named
            && (rest.is_empty() || rest == self.group || rest == versioned.trim_end_matches('.'))
    }
}

#[derive(Deserialize)]
struct GroupList {
    items: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    versions: Vec<Version>,
}

#[derive(Deserialize, Default)]
struct Metadata {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Version {
    version: String,
    #[serde(default)]
    resources: Vec<Found>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    resource: String,
    response_kind: ResponseKind,
    scope: String,
    #[serde(default)]
    singular_resource: String,
    #[serde(default)]
    short_names: Vec<String>,
    #[serde(default)]
    categories: Vec<String>,
    #[serde(default)]
    verbs: Vec<String>,
}

#[derive(Deserialize)]
struct ResponseKind {
    kind: String,
}

/// Lists them in the server's order of preference.
pub async fn list(client: &Client) -> anyhow::Result<Vec<Resource>> {
    let mut resources = Vec::new();
    for path in ["/api", "/apis"] {
        let request = Request::get(path)
            .header(header::ACCEPT, ACCEPT)
            .body(Vec::new())?;
        let groups: GroupList = client.request(request).await.map_err(super::refused)?;
        resources.extend(groups.items.into_iter().flat_map(of_group));
    }
    Ok(resources)
}

fn of_group(group: Group) -> Vec<Resource> {
    let name = group.metadata.name;
    let mut resources = Vec::new();
    for version in group.versions {
        for found in version.resources {
            let is_preferred = !resources
                .iter()
                .any(|r: &Resource| r.plural == found.resource);
            resources.push(Resource {
                group: name.clone(),
                version: version.version.clone(),
                kind: found.response_kind.kind,
                plural: found.resource,
                singular: found.singular_resource,
                short_names: found.short_names,
                categories: found.categories,
                namespaced: found.scope == "Namespaced",
                verbs: found.verbs,
                is_preferred,
            });
        }
    }
    resources
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployments() -> Resource {
        let group = json!({ "metadata": { "name": "apps" }, "versions": [{ "version": "v1", "resources": [{
            "resource": "deployments", "responseKind": { "kind": "Deployment" }, "scope": "Namespaced",
            "singularResource": "deployment", "shortNames": ["deploy"], "verbs": ["get"] }] }] });
        of_group(serde_json::from_value(group).unwrap()).remove(0)
    }

    #[test]
    fn kind_is_known_by_every_name_that_kubectl_takes() {
        for word in [
            "deploy",
            "deployment",
            "deployments",
            "Deployment",
            "deployments.apps",
            "deployments.v1.apps",
        ] {
            assert!(deployments().is_called(word), "{word}");
        }
        assert!(!deployments().is_called("deployments.extensions"));
        assert!(!deployments().is_called("pods"));
    }
}

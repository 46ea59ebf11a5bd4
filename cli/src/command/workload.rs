//! What the commands know of workloads: where their pods and containers are.

use anyhow::{Context, bail};
use serde_json::Value;

use crate::cluster::select::Target;
use crate::cluster::{Cluster, encode, text};

impl Cluster {
    /// Names of the pods that a command about `words` means: a pod by its bare
    /// name, or the pods of a workload, `deployment/web`.
    pub async fn pods_of(&self, words: &[String]) -> anyhow::Result<Vec<String>> {
        if let [name] = words
            && !name.contains('/')
        {
            return Ok(vec![name.clone()]);
        }
        let (resource, name) = self.target(words)?;
        if resource.plural == "pods" {
            return Ok(vec![name]);
        }
        let path = self.path(&resource, Some(&self.namespace), Some(&name));
        let object = self.get(&path).await?;
        let selector = selector_of(&object)
            .with_context(|| format!("{}/{name} selects no pods", resource.plural))?;
        self.pods_selected(&selector).await
    }

    /// Names of the pods with these labels; running ones first.
    pub async fn pods_selected(&self, selector: &str) -> anyhow::Result<Vec<String>> {
        let pods = Target {
            resource: self.resource("pods")?,
            name: None,
        };
        let path = self.path(&pods.resource, Some(&self.namespace), None);
        let list = self
            .get(&format!("{path}?labelSelector={}", encode(selector)))
            .await?;
        let mut items = list["items"].as_array().cloned().unwrap_or_default();
        items.sort_by_key(|pod| text(pod, "/status/phase") != "Running");
        if items.is_empty() {
            bail!("no pods with {selector} in namespace {}", self.namespace);
        }
        Ok(items
            .iter()
            .map(|pod| text(pod, "/metadata/name").to_owned())
            .collect())
    }
}

/// The selector of a workload or Service, as a query has it.
pub fn selector_of(object: &Value) -> Option<String> {
    let spec = &object["spec"]["selector"];
    let labels = spec.get("matchLabels").unwrap_or(spec).as_object()?;
    let pairs: Vec<String> = labels
        .iter()
        .filter_map(|(k, v)| Some(format!("{k}={}", v.as_str()?)))
        .collect();
    (!pairs.is_empty()).then(|| pairs.join(","))
}

//! What the commands know of workloads: where their pods and containers are.

use anyhow::{Context, bail};
use serde_json::Value;

use crate::cluster::{Cluster, encode, text};

impl Cluster {
    /// The pods that a command about `word` means: a pod by its bare name, or
    /// those of a workload, `deployment/web`; running ones first.
    pub async fn pods_of(&self, word: &str) -> anyhow::Result<Vec<Value>> {
        let pods = self.resource("pods")?;
        let named = |name: &str| self.path(&pods, Some(&self.namespace), Some(name));
        if !word.contains('/') {
            return Ok(vec![self.get(&named(word)).await?]);
        }
        let (resource, name) = self.target(&[word.to_owned()])?;
        if resource.plural == "pods" {
            return Ok(vec![self.get(&named(&name)).await?]);
        }
        let path = self.path(&resource, Some(&self.namespace), Some(&name));
        let object = self.get(&path).await?;
        let selector = selector_of(&object).with_context(|| {
            format!(
                "{}/{name} has no selector, so no pods are its own",
                resource.plural
            )
        })?;
        let pods = self.pods_selected(&selector).await?;
        if pods.is_empty() {
            bail!(
                "{}/{name} has no pods: none has the labels {selector}",
                resource.plural
            );
        }
        Ok(pods)
    }

    /// The one pod to act in.
    pub async fn pod_of(&self, word: &str) -> anyhow::Result<Value> {
        let pods = self.pods_of(word).await?;
        pods.into_iter().next().context("there is no such pod")
    }

    /// The pods with these labels; running ones first.
    pub async fn pods_selected(&self, selector: &str) -> anyhow::Result<Vec<Value>> {
        let path = self.path(&self.resource("pods")?, Some(&self.namespace), None);
        let list = format!("{path}?labelSelector={}", encode(selector));
        let mut list = self.get(&list).await?;
        let items = list["items"].as_array_mut().map(std::mem::take);
        let mut items = items.unwrap_or_default();
        // Those that are ending last: they may be gone before we get there.
        let is_ending = |pod: &Value| !pod["metadata"]["deletionTimestamp"].is_null();
        items.sort_by_key(|pod| (is_ending(pod), text(pod, "/status/phase") != "Running"));
        Ok(items)
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

/// The containers of a pod in the order of its spec, init containers too.
pub fn containers(pod: &Value) -> Vec<&str> {
    let lists = [
        "/spec/initContainers",
        "/spec/containers",
        "/spec/ephemeralContainers",
    ];
    let lists = lists.map(|list| pod.pointer(list).and_then(Value::as_array));
    let all = lists.into_iter().flatten().flatten();
    all.map(|container| text(container, "/name")).collect()
}

/// The container that is meant; says so on stderr where it had to choose.
pub fn container(pod: &Value, wanted: Option<&str>) -> anyhow::Result<String> {
    let all = containers(pod);
    if let Some(wanted) = wanted {
        if !all.contains(&wanted) {
            let pod = text(pod, "/metadata/name");
            bail!(
                "container {wanted} is not valid for pod {pod}; it has {}",
                all.join(", ")
            );
        }
        return Ok(wanted.to_owned());
    }
    let annotated = &pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"];
    if let Some(annotated) = annotated.as_str().filter(|name| all.contains(name)) {
        return Ok(annotated.to_owned());
    }
    let first = text(pod, "/spec/containers/0/name");
    if all.len() > 1 {
        eprintln!(
            "Defaulted container {first:?} out of: {}",
            choices(pod).join(", ")
        );
    }
    Ok(first.to_owned())
}

fn choices(pod: &Value) -> Vec<String> {
    let of = |list: &str, note: &str| {
        let containers = pod["spec"][list].as_array().into_iter().flatten();
        containers
            .map(|c| format!("{}{note}", text(c, "/name")))
            .collect::<Vec<_>>()
    };
    [
        of("containers", ""),
        of("ephemeralContainers", " (ephem)"),
        of("initContainers", " (init)"),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod() -> Value {
        json!({ "metadata": { "name": "p" }, "spec": {
            "initContainers": [{ "name": "i" }], "containers": [{ "name": "a" }, { "name": "b" }] } })
    }

    #[test]
    fn container_is_the_first_unless_it_is_named_or_annotated() {
        assert_eq!(container(&pod(), None).unwrap(), "a");
        assert_eq!(container(&pod(), Some("i")).unwrap(), "i");
        assert!(container(&pod(), Some("x")).is_err());
        let mut annotated = pod();
        annotated["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"] =
            "b".into();
        assert_eq!(container(&annotated, None).unwrap(), "b");
        assert_eq!(choices(&pod()), ["a", "b", "i (init)"]);
    }

    #[test]
    fn workload_selects_by_its_match_labels_and_a_service_by_its_selector() {
        let set = json!({ "spec": { "selector": { "matchLabels": { "a": "b", "c": "d" } } } });
        assert_eq!(selector_of(&set).unwrap(), "a=b,c=d");
        let service = json!({ "spec": { "selector": { "a": "b" } } });
        assert_eq!(selector_of(&service).unwrap(), "a=b");
        assert!(selector_of(&json!({ "spec": {} })).is_none());
    }
}

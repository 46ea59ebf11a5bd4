//! RuntimeClasses: what running with another runtime costs a pod, and on which
//! nodes it can.

use std::sync::Arc;

use apimachinery::{Status, meta};
use serde_json::Value;

use super::{Admission, refusal};
use crate::keys;
use crate::registry::{Registry, store_failure};

impl Admission {
    pub(super) async fn add_runtime_class(
        &self,
        registry: &Registry<'_>,
        pod: &mut Value,
    ) -> Result<(), Status> {
        let name = meta::text(pod, "spec.runtimeClassName").to_owned();
        let class = if name.is_empty() {
            None
        } else {
            let found = self.runtime_class(registry, &name).await?;
            let why = || format!("pod rejected: RuntimeClass {name:?} not found");
            Some(found.ok_or_else(|| refusal(registry, pod, &why()))?)
        };
        let overhead = class
            .as_ref()
            .and_then(|c| meta::get(c, "overhead.podFixed"));
        if let Err(why) = set_overhead(pod, overhead) {
            return Err(refusal(registry, pod, why));
        }
        if let Some(class) = &class {
            add_node_selector(pod, class).map_err(|why| refusal(registry, pod, &why))?;
            add_tolerations(pod, class);
        }
        Ok(())
    }

    /// The mirror may not have seen a new class yet.
    async fn runtime_class(
        &self,
        registry: &Registry<'_>,
        name: &str,
    ) -> Result<Option<Arc<Value>>, Status> {
        if let Some(known) = self.runtime_classes.get(name) {
            return Ok(Some(known));
        }
        let key = keys::object("runtimeclasses", None, name);
        let found = registry.api.store.get(&key).await.map_err(store_failure)?;
        let parsed = found.map(|entry| serde_json::from_slice(&entry.value));
        Ok(parsed.transpose().map_err(Status::internal)?.map(Arc::new))
    }
}

fn set_overhead(pod: &mut Value, overhead: Option<&Value>) -> Result<(), &'static str> {
    let given = meta::get(pod, "spec.overhead").filter(|given| {
        let amounts = given.as_object();
        amounts.is_some_and(|amounts| !amounts.is_empty())
    });
    match (given, overhead) {
        (None, None) => Ok(()),
        (Some(_), None) => Err(
            "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
        ),
        (Some(given), Some(overhead)) if given != overhead => {
            Err("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
        }
        (Some(_), Some(_)) => Ok(()),
        (None, Some(overhead)) => {
            meta::set(pod, "spec.overhead", overhead.clone());
            Ok(())
        }
    }
}

fn add_node_selector(pod: &mut Value, class: &Value) -> Result<(), String> {
    let wanted = meta::map(class, "scheduling.nodeSelector");
    for (key, value) in wanted.into_iter().flatten() {
        let selector = meta::entry(meta::entry(pod, "spec"), "nodeSelector");
        match selector.get(key) {
            Some(given) if given != value => {
                return Err(format!(
                    "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {}; pod.spec.nodeSelector[{key}] = {}",
                    value.as_str().unwrap_or(""),
                    given.as_str().unwrap_or("")
                ));
            }
            _ => selector[key.as_str()] = value.clone(),
        }
    }
    Ok(())
}

fn add_tolerations(pod: &mut Value, class: &Value) {
    let spec = meta::entry(pod, "spec");
    for toleration in meta::items(class, "scheduling.tolerations") {
        match spec.get_mut("tolerations").and_then(Value::as_array_mut) {
            Some(list) if list.contains(toleration) => {}
            Some(list) => list.push(toleration.clone()),
            None => spec["tolerations"] = Value::Array(vec![toleration.clone()]),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_overhead_of_ones_own_is_refused() {
        let mut pod = json!({ "spec": { "overhead": { "cpu": "1" } } });
        assert!(set_overhead(&mut pod, None).is_err());
        assert!(set_overhead(&mut pod, Some(&json!({ "cpu": "2" }))).is_err());
        assert!(set_overhead(&mut pod, Some(&json!({ "cpu": "1" }))).is_ok());
    }

    #[test]
    fn what_a_class_adds_is_added_once() {
        let class = json!({ "scheduling": { "nodeSelector": { "a": "b" }, "tolerations": [{ "key": "k" }] } });
        let mut pod = json!({ "spec": {} });
        for _ in 0..2 {
            add_node_selector(&mut pod, &class).unwrap();
            add_tolerations(&mut pod, &class);
        }
        assert_eq!(
            pod["spec"],
            json!({ "nodeSelector": { "a": "b" }, "tolerations": [{ "key": "k" }] })
        );
        pod["spec"]["nodeSelector"]["a"] = "c".into();
        assert!(add_node_selector(&mut pod, &class).is_err());
    }
}

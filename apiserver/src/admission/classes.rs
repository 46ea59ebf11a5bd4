//! Classes that objects name or get by default: priority, runtime, storage, ingress.

use std::sync::Arc;

use apimachinery::{Status, meta};
use serde_json::Value;

use super::Admission;
use crate::keys;
use crate::mirror::Mirror;
use crate::registry::{Registry, store_failure};

const DEFAULT_STORAGE: &str = "storageclass.kubernetes.io/is-default-class";
const DEFAULT_INGRESS: &str = "ingressclass.kubernetes.io/is-default-class";

impl Admission {
    pub(super) async fn add_priority(
        &self,
        registry: &Registry<'_>,
        pod: &mut Value,
    ) -> Result<(), Status> {
        let named = meta::text(pod, "spec.priorityClassName").to_owned();
        let class =
            if named.is_empty() {
                self.default_priority()
            } else {
                let found = self.priority_class(registry, &named).await?;
                let why = || format!("no PriorityClass with name {named} was found");
                Some(found.ok_or_else(|| {
                    Status::forbidden(registry.resource(), meta::name(pod), &why())
                })?)
            };
        let value = class
            .as_ref()
            .and_then(|c| c["value"].as_i64())
            .unwrap_or(0);
        if let Some(given) = meta::int(pod, "spec.priority").filter(|given| *given != value) {
            let why = format!(
                "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {value} from the given PriorityClass name"
            );
            return Err(Status::forbidden(
                registry.resource(),
                meta::name(pod),
                &why,
            ));
        }
        let policy = class
            .as_ref()
            .map_or("", |c| meta::text(c, "preemptionPolicy"));
        let policy = if policy.is_empty() {
            "PreemptLowerPriority"
        } else {
            policy
        };
        if let Some(class) = &class {
            meta::set(pod, "spec.priorityClassName", meta::name(class));
        }
        meta::set(pod, "spec.priority", value);
        if meta::text(pod, "spec.preemptionPolicy").is_empty() {
            meta::set(pod, "spec.preemptionPolicy", policy);
        }
        Ok(())
    }

    async fn priority_class(
        &self,
        registry: &Registry<'_>,
        name: &str,
    ) -> Result<Option<Arc<Value>>, Status> {
        if let Some(known) = self.priority_classes.get(name) {
            return Ok(Some(known));
        }
        let key = keys::object("priorityclasses", None, name);
        let found = registry.api.store.get(&key).await.map_err(store_failure)?;
        let parsed = found
            .map(|entry| serde_json::from_slice(&entry.value))
            .transpose();
        Ok(parsed.map_err(Status::internal)?.map(Arc::new))
    }

    /// Of several global defaults the lowest counts.
    fn default_priority(&self) -> Option<Arc<Value>> {
        let classes = self.priority_classes.all().into_iter();
        let defaults = classes.filter(|class| class["globalDefault"] == true);
        defaults.min_by_key(|class| class["value"].as_i64().unwrap_or(0))
    }

    pub(super) fn add_runtime_class(
        &self,
        registry: &Registry<'_>,
        pod: &mut Value,
    ) -> Result<(), Status> {
        let name = meta::text(pod, "spec.runtimeClassName");
        if name.is_empty() {
            return Ok(());
        }
        let Some(class) = self.runtime_classes.get(name) else {
            let why = format!("pod rejected: RuntimeClass {name:?} not found");
            return Err(Status::forbidden(
                registry.resource(),
                meta::name(pod),
                &why,
            ));
        };
        if let Some(overhead) = meta::get(&class, "overhead.podFixed") {
            meta::set(pod, "spec.overhead", overhead.clone());
        }
        for (key, value) in meta::map(&class, "scheduling.nodeSelector")
            .into_iter()
            .flatten()
        {
            let selector = meta::entry(meta::entry(pod, "spec"), "nodeSelector");
            selector[key.as_str()] = value.clone();
        }
        let spec = meta::entry(pod, "spec");
        for toleration in meta::items(&class, "scheduling.tolerations") {
            match spec.get_mut("tolerations").and_then(Value::as_array_mut) {
                Some(list) => list.push(toleration.clone()),
                None => spec["tolerations"] = Value::Array(vec![toleration.clone()]),
            }
        }
        Ok(())
    }

    pub(super) fn add_storage_class(
        &self,
        _: &Registry<'_>,
        claim: &mut Value,
    ) -> Result<(), Status> {
        if meta::get(claim, "spec.storageClassName").is_none()
            && let Some(class) = default_of(&self.storage_classes, DEFAULT_STORAGE)
        {
            meta::set(claim, "spec.storageClassName", meta::name(&class));
        }
        Ok(())
    }

    pub(super) fn add_ingress_class(
        &self,
        registry: &Registry<'_>,
        ingress: &mut Value,
    ) -> Result<(), Status> {
        let has_class = meta::get(ingress, "spec.ingressClassName").is_some()
            || meta::annotation(ingress, "kubernetes.io/ingress.class").is_some();
        let classes = self.ingress_classes.all();
        let defaults: Vec<_> = classes
            .iter()
            .filter(|c| is_default(c, DEFAULT_INGRESS))
            .collect();
        match defaults.as_slice() {
            _ if has_class => Ok(()),
            [] => Ok(()),
            [one] => {
                meta::set(ingress, "spec.ingressClassName", meta::name(one));
                Ok(())
            }
            several => {
                let why = format!(
                    "{} default IngressClasses were found, only 1 allowed",
                    several.len()
                );
                Err(Status::forbidden(
                    registry.resource(),
                    meta::name(ingress),
                    &why,
                ))
            }
        }
    }
}

fn is_default(class: &Value, annotation: &str) -> bool {
    meta::annotation(class, annotation) == Some("true")
}

/// Of several defaults the newest counts, then the first by name.
fn default_of(classes: &Mirror, annotation: &str) -> Option<Arc<Value>> {
    let mut defaults: Vec<_> = classes
        .all()
        .into_iter()
        .filter(|c| is_default(c, annotation))
        .collect();
    defaults.sort_by(|a, b| {
        let newer = meta::creation_timestamp(b).cmp(&meta::creation_timestamp(a));
        newer.then_with(|| meta::name(a).cmp(meta::name(b)))
    });
    defaults.into_iter().next()
}

//! Classes that objects name or get by default: priority, storage, ingress.

use std::sync::Arc;

use apimachinery::{Status, meta};
use serde_json::Value;

use super::{Admission, refusal};
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
        let class = if named.is_empty() {
            self.default_priority()
        } else {
            let found = self.priority_class(registry, &named).await?;
            let why = || format!("no PriorityClass with name {named} was found");
            Some(found.ok_or_else(|| refusal(registry, pod, &why()))?)
        };
        let value = class
            .as_ref()
            .and_then(|c| c["value"].as_i64())
            .unwrap_or(0);
        if let Some(given) = meta::int(pod, "spec.priority").filter(|given| *given != value) {
            let why = format!(
                "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {value} from the given PriorityClass name"
            );
            return Err(refusal(registry, pod, &why));
        }
        let policy = class
            .as_ref()
            .map_or("", |c| meta::text(c, "preemptionPolicy"));
        let policy = if policy.is_empty() {
            "PreemptLowerPriority"
        } else {
            policy
        };
        let given = meta::text(pod, "spec.preemptionPolicy");
        if !given.is_empty() && given != policy {
            let why = format!(
                "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name"
            );
            return Err(refusal(registry, pod, &why));
        }
        if let Some(class) = &class {
            meta::set(pod, "spec.priorityClassName", meta::name(class));
        }
        meta::set(pod, "spec.priority", value);
        meta::set(pod, "spec.preemptionPolicy", policy);
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

    /// Who leaves out what the server computed does not mean to change it.
    pub(super) fn keep_priority(pod: &mut Value, old: &Value) {
        for field in ["spec.priority", "spec.preemptionPolicy"] {
            if let (None, Some(kept)) = (meta::get(pod, field), meta::get(old, field)) {
                meta::set(pod, field, kept.clone());
            }
        }
    }

    /// Priority classes: one of them may be everybody's.
    pub(super) fn check_priority_class(
        &self,
        registry: &Registry<'_>,
        class: &Value,
    ) -> Result<(), Status> {
        if class["globalDefault"] != true {
            return Ok(());
        }
        match self.default_priority() {
            Some(other) if meta::name(&other) != meta::name(class) => {
                let why = format!(
                    "PriorityClass {} is already marked as default. Only one default can exist",
                    meta::name(&other)
                );
                Err(refusal(registry, class, &why))
            }
            _ => Ok(()),
        }
    }

    /// Of several global defaults the lowest counts.
    fn default_priority(&self) -> Option<Arc<Value>> {
        let classes = self.priority_classes.all().into_iter();
        let defaults = classes.filter(|class| class["globalDefault"] == true);
        defaults.min_by_key(|class| class["value"].as_i64().unwrap_or(0))
    }

    pub(super) fn add_storage_class(
        &self,
        _: &Registry<'_>,
        claim: &mut Value,
    ) -> Result<(), Status> {
        let is_named = meta::get(claim, "spec.storageClassName").is_some()
            || meta::annotation(claim, "volume.beta.kubernetes.io/storage-class").is_some();
        if !is_named && let Some(class) = default_of(&self.storage_classes, DEFAULT_STORAGE) {
            meta::set(claim, "spec.storageClassName", meta::name(&class));
        }
        Ok(())
    }

    pub(super) fn add_ingress_class(
        &self,
        _: &Registry<'_>,
        ingress: &mut Value,
    ) -> Result<(), Status> {
        let has_class = meta::get(ingress, "spec.ingressClassName").is_some()
            || meta::annotation(ingress, "kubernetes.io/ingress.class").is_some();
        if !has_class && let Some(class) = default_of(&self.ingress_classes, DEFAULT_INGRESS) {
            meta::set(ingress, "spec.ingressClassName", meta::name(&class));
        }
        Ok(())
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

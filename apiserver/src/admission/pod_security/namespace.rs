//! Labels of namespaces: they must make sense, and who makes a namespace stricter
//! is told which of its pods would not be let in again.

use std::collections::BTreeMap;

use apimachinery::{Status, meta};
use serde_json::Value;
use store::Range;

use super::configuration::Configuration;
use super::policy::{Level, Policy, Standard};
use super::spec::PodView;
use super::violations;
use crate::keys;
use crate::registry::{Registry, store_failure};

/// Pods that are looked at, as many as Kubernetes does.
const PODS_MAX: usize = 3000;

/// `old` is null for a new namespace.
pub async fn check(
    registry: &Registry<'_>,
    told: &Configuration,
    new: &Value,
    old: &Value,
) -> Result<(), Status> {
    let of_labels = |object| Policy::of_labels(meta::labels(object), &told.defaults);
    let (policy, mistakes) = of_labels(new);
    let (before, mistakes_before) = of_labels(old);
    if !mistakes.is_empty() && (old.is_null() || mistakes != mistakes_before) {
        let name = meta::name(new);
        return Err(Status::invalid("", "Namespace", name, &mistakes));
    }
    let is_stricter = policy.enforce.level > before.enforce.level
        || policy.enforce.version != before.enforce.version;
    if old.is_null() || policy.enforce.level == Level::Privileged || !is_stricter {
        return Ok(());
    }
    if told.exempt(meta::name(new), "", "").is_some() {
        return Ok(());
    }
    for warning in pods_against(registry, meta::name(new), &policy.enforce).await? {
        registry.call.notes.warn(warning);
    }
    Ok(())
}

async fn pods_against(
    registry: &Registry<'_>,
    namespace: &str,
    enforced: &Standard,
) -> Result<Vec<String>, Status> {
    let prefix = keys::collection("pods", Some(namespace));
    let range = Range::prefix(prefix).limit(PODS_MAX);
    let page = registry.api.store.range(range).await;
    let page = page.map_err(store_failure)?;
    // By what they break: the first pod's name, and how many there are.
    let mut broken: BTreeMap<String, (String, usize)> = BTreeMap::new();
    for entry in &page.entries {
        let pod: Value = serde_json::from_slice(&entry.value).map_err(Status::internal)?;
        let Some(view) = PodView::of("pods", &pod) else {
            continue;
        };
        let found = violations(enforced.level, &view);
        if found.is_empty() {
            continue;
        }
        let reasons: Vec<&str> = found.iter().map(|v| v.reason).collect();
        let first = || (meta::name(&pod).to_owned(), 0);
        broken.entry(reasons.join(", ")).or_insert_with(first).1 += 1;
    }
    let mut warnings = Vec::new();
    if page.more {
        warnings.push(format!(
            "new PodSecurity enforce level only checked against the first {PODS_MAX} of many existing pods"
        ));
    }
    if !broken.is_empty() {
        warnings.push(format!(
            "existing pods in namespace {namespace:?} violate the new PodSecurity enforce level \"{enforced}\""
        ));
    }
    let mut lines: Vec<String> = broken
        .iter()
        .map(|(reasons, (pod, count))| match count {
            1 => format!("{pod}: {reasons}"),
            2 => format!("{pod} (and 1 other pod): {reasons}"),
            more => format!("{pod} (and {} other pods): {reasons}", more - 1),
        })
        .collect();
    lines.sort();
    warnings.append(&mut lines);
    Ok(warnings)
}

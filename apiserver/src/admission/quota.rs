//! ResourceQuotas: how much of what a namespace may hold.
//!
//! What is used is counted from the store at each create, one create of a
//! namespace with a quota at a time: it cannot be wrong, and namespaces without a
//! quota pay nothing.

mod usage;

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::{Quantity, Status, meta};
use serde_json::Value;
use store::{Expect, Range};
use tokio::sync::OwnedMutexGuard;

use super::Admission;
use crate::keys;
use crate::registry::{Registry, store_failure, versions};
use usage::Usage;

impl Admission {
    pub(super) async fn charge_quota(
        &self,
        registry: &Registry<'_>,
        object: &Value,
        dry_run: bool,
    ) -> Result<Option<OwnedMutexGuard<()>>, Status> {
        let quotas = match registry.namespace {
            Some(namespace) if !self.quotas.is_empty() => self.quotas.of(namespace),
            _ => return Ok(None),
        };
        if quotas.is_empty() {
            return Ok(None);
        }
        let gate = self.quota_gate.clone().lock_owned().await;
        for quota in quotas {
            self.charge(registry, &quota, object, dry_run).await?;
        }
        Ok(Some(gate))
    }

    async fn charge(
        &self,
        registry: &Registry<'_>,
        quota: &Arc<Value>,
        object: &Value,
        dry_run: bool,
    ) -> Result<(), Status> {
        let hard: BTreeMap<&str, Quantity> = hard_of(quota);
        let wanted = usage::of_object(registry.kind, object, quota);
        let counted: Vec<&str> = hard
            .keys()
            .copied()
            .filter(|name| wanted.contains_key(*name))
            .collect();
        check_specified(registry, quota, object, &hard, &wanted)?;
        if counted.is_empty() {
            return Ok(());
        }
        let used = self.used(registry, quota).await?;
        let exceeded: Vec<&str> = counted
            .iter()
            .copied()
            .filter(|name| sum(used.get(*name), wanted.get(*name)) > hard[name])
            .collect();
        if exceeded.is_empty() {
            if !dry_run {
                note_used(registry, quota, &hard, &used, &wanted).await;
            }
            return Ok(());
        }
        let list = |of: &dyn Fn(&str) -> Quantity| {
            let each: Vec<String> = exceeded
                .iter()
                .map(|name| format!("{name}={}", of(name)))
                .collect();
            each.join(",")
        };
        let zero = || Quantity::from_milli(0);
        let why = format!(
            "exceeded quota: {}, requested: {}, used: {}, limited: {}",
            meta::name(quota),
            list(&|name| wanted.get(name).copied().unwrap_or_else(zero)),
            list(&|name| used.get(name).copied().unwrap_or_else(zero)),
            list(&|name| hard[name]),
        );
        Err(Status::forbidden(
            registry.resource(),
            meta::name(object),
            &why,
        ))
    }

    /// What the namespace holds of the kind that is about to be created.
    async fn used(&self, registry: &Registry<'_>, quota: &Value) -> Result<Usage, Status> {
        let prefix = keys::collection(registry.prefix, registry.namespace);
        let page = registry
            .api
            .store
            .range(Range::prefix(prefix))
            .await
            .map_err(store_failure)?;
        let mut used = Usage::new();
        for entry in &page.entries {
            let held = versions::value(registry.kind, &entry.value)?;
            for (name, amount) in usage::of_object(registry.kind, &held, quota) {
                *used.entry(name).or_insert_with(|| Quantity::from_milli(0)) += amount;
            }
        }
        Ok(used)
    }
}

fn hard_of(quota: &Value) -> BTreeMap<&str, Quantity> {
    let hard = meta::map(quota, "spec.hard").into_iter().flatten();
    hard.filter_map(|(name, amount)| Some((name.as_str(), Quantity::from_json(amount).ok()?)))
        .collect()
}

fn sum(a: Option<&Quantity>, b: Option<&Quantity>) -> Quantity {
    let mut sum = a.copied().unwrap_or_else(|| Quantity::from_milli(0));
    if let Some(b) = b {
        sum += *b;
    }
    sum
}

/// A pod under a quota of cpu must say how much cpu it wants.
fn check_specified(
    registry: &Registry<'_>,
    quota: &Value,
    object: &Value,
    hard: &BTreeMap<&str, Quantity>,
    wanted: &Usage,
) -> Result<(), Status> {
    if registry.kind.plural() != "pods" || !usage::is_in_scope(object, quota) {
        return Ok(());
    }
    let compute = [
        "cpu",
        "memory",
        "requests.cpu",
        "requests.memory",
        "limits.cpu",
        "limits.memory",
    ];
    let missing: Vec<&str> = hard
        .keys()
        .copied()
        .filter(|n| compute.contains(n) && !wanted.contains_key(*n))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let why = format!(
        "failed quota: {}: must specify {}",
        meta::name(quota),
        missing.join(",")
    );
    Err(Status::forbidden(
        registry.resource(),
        meta::name(object),
        &why,
    ))
}

/// Shows what is used now in the quota's status. That it fails is no harm: what
/// counts is counted anew each time.
async fn note_used(
    registry: &Registry<'_>,
    quota: &Value,
    hard: &BTreeMap<&str, Quantity>,
    used: &Usage,
    wanted: &Usage,
) {
    let key = keys::object("resourcequotas", registry.namespace, meta::name(quota));
    let Ok(Some(entry)) = registry.api.store.get(&key).await else {
        return;
    };
    let Ok(mut stored) = serde_json::from_slice::<Value>(&entry.value) else {
        return;
    };
    for (name, limit) in hard {
        meta::entry(meta::entry(&mut stored, "status"), "hard")[*name] = limit.to_string().into();
        if wanted.contains_key(*name) {
            let now = sum(used.get(*name), wanted.get(*name)).to_string();
            meta::entry(meta::entry(&mut stored, "status"), "used")[*name] = now.into();
        }
    }
    if let Value::Object(fields) = &stored {
        let value = crate::bytes_json::encode(fields);
        let put = registry
            .api
            .store
            .put(&key, value, Expect::At(entry.modified))
            .await;
        if let Err(error) = put {
            tracing::debug!(%error, "note what a quota has used");
        }
    }
}

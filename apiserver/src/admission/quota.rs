//! ResourceQuotas: how much of what a namespace may hold.
//!
//! What is used is counted from the store at each create, with what creates under
//! way are going to use ([`charge`]): it cannot be wrong, and namespaces without a
//! quota pay nothing.

mod charge;
mod usage;

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::{Quantity, Status, meta};
use serde_json::Value;
use store::{Entry, Expect, Range};

use super::Admission;
use crate::keys;
use crate::registry::{Registry, store_failure, versions};
use charge::Use;
pub use charge::{Charge, Charges};
use usage::Usage;

/// A quota that the object counts for.
struct Asked<'a> {
    quota: &'a Arc<Value>,
    hard: BTreeMap<&'a str, Quantity>,
    wanted: Usage,
}

impl Admission {
    pub(super) async fn charge_quota(
        &self,
        registry: &Registry<'_>,
        object: &Value,
        dry_run: bool,
    ) -> Result<Option<Charge>, Status> {
        let Some(namespace) = registry.namespace.filter(|_| !self.quotas.is_empty()) else {
            return Ok(None);
        };
        let quotas = self.quotas.of(namespace);
        let asked = asked(registry, object, &quotas)?;
        if asked.is_empty() {
            return Ok(None);
        }
        let mut charge = None;
        if !dry_run {
            let mut charged = Use::new(&registry.key(meta::name(object)));
            for one in &asked {
                charged.add(meta::name(one.quota), &one.wanted);
            }
            let store = &registry.api.store;
            charge = Some(Charge::write(store, namespace, &charged).await?);
        }
        match self
            .check_room(registry, namespace, &asked, object, charge.as_ref())
            .await
        {
            Ok(()) => Ok(charge),
            Err(status) => {
                if let Some(charge) = charge {
                    charge.settle().await;
                }
                Err(status)
            }
        }
    }

    async fn check_room(
        &self,
        registry: &Registry<'_>,
        namespace: &str,
        asked: &[Asked<'_>],
        object: &Value,
        charge: Option<&Charge>,
    ) -> Result<(), Status> {
        // The order is the proof: a create whose charge is gone by now has its
        // object among those that are read after.
        let store = &*registry.api.store;
        let earlier = self.charges.before(store, namespace, charge).await?;
        let prefix = keys::collection(registry.prefix, registry.namespace);
        let page = store.range(Range::prefix(prefix)).await;
        let entries = page.map_err(store_failure)?.entries;
        for one in asked {
            let used = used(registry, one.quota, &entries, &earlier)?;
            one.check(registry, &used, object)?;
            if charge.is_some() {
                note_used(registry, one.quota, &one.hard, &used, &one.wanted).await;
            }
        }
        Ok(())
    }
}

/// The quotas that limit something that the object uses.
fn asked<'a>(
    registry: &Registry<'_>,
    object: &Value,
    quotas: &'a [Arc<Value>],
) -> Result<Vec<Asked<'a>>, Status> {
    let mut asked = Vec::new();
    for quota in quotas {
        let hard = hard_of(quota);
        let wanted = usage::of_object(registry.kind, object, quota);
        check_specified(registry, quota, object, &hard, &wanted)?;
        if hard.keys().any(|name| wanted.contains_key(*name)) {
            asked.push(Asked {
                quota,
                hard,
                wanted,
            });
        }
    }
    Ok(asked)
}

impl Asked<'_> {
    fn check(&self, registry: &Registry<'_>, used: &Usage, object: &Value) -> Result<(), Status> {
        let is_exceeded = |name: &&str| {
            self.wanted.contains_key(*name)
                && sum(used.get(*name), self.wanted.get(*name)) > self.hard[name]
        };
        let exceeded: Vec<&str> = self.hard.keys().copied().filter(is_exceeded).collect();
        if exceeded.is_empty() {
            return Ok(());
        }
        let list = |of: &dyn Fn(&str) -> Quantity| {
            let each = exceeded.iter().map(|name| format!("{name}={}", of(name)));
            each.collect::<Vec<String>>().join(",")
        };
        let zero = || Quantity::from_milli(0);
        let why = format!(
            "exceeded quota: {}, requested: {}, used: {}, limited: {}",
            meta::name(self.quota),
            list(&|name| self.wanted.get(name).copied().unwrap_or_else(zero)),
            list(&|name| used.get(name).copied().unwrap_or_else(zero)),
            list(&|name| self.hard[name]),
        );
        let resource = registry.resource();
        Err(Status::forbidden(resource, meta::name(object), &why))
    }
}

/// What the namespace holds of the kind that is about to be created, and is
/// going to hold.
fn used(
    registry: &Registry<'_>,
    quota: &Value,
    entries: &[Entry],
    earlier: &[Use],
) -> Result<Usage, Status> {
    let mut used = Usage::new();
    let mut add = |usage: Usage| {
        for (name, amount) in usage {
            *used.entry(name).or_insert_with(|| Quantity::from_milli(0)) += amount;
        }
    };
    for entry in entries {
        let held = versions::value(registry.kind, &entry.value)?;
        add(usage::of_object(registry.kind, &held, quota));
    }
    for charged in earlier {
        let is_stored = |entry: &Entry| entry.key == charged.object.as_bytes();
        if !entries.iter().any(is_stored) {
            add(charged.of(meta::name(quota)));
        }
    }
    Ok(used)
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

//! ResourceQuotas: how much of what a namespace may hold.
//!
//! What is used is counted from the store at each create, and at each change that
//! uses more, with what writes under way are going to use ([`charge`]): it cannot be wrong, and namespaces without a
//! quota pay nothing.

mod charge;
mod scopes;
pub mod status;
mod usage;

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::{Quantity, Status, meta};
use serde_json::Value;
use store::{Entry, Expect, Range, Revision};

use super::{Admission, refusal};
use crate::keys;
use crate::registry::update::Part;
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
        let write = (dry_run, None);
        self.charge(registry, namespace, &asked, object, write)
            .await
    }

    /// A change may use more: a pod that is resized, a claim that grows, a Service
    /// of another type. `stored` is the revision of what is changed.
    pub(super) async fn charge_quota_of_change(
        &self,
        registry: &Registry<'_>,
        new: &Value,
        old: &Value,
        stored: Revision,
        part: Part,
        dry_run: bool,
    ) -> Result<Option<Charge>, Status> {
        let may_use_more = match (registry.kind.group(), registry.kind.plural()) {
            ("", "pods") => part == Part::Resize,
            ("", "services" | "persistentvolumeclaims") => part == Part::Main,
            _ => false,
        };
        let Some(namespace) = registry.namespace else {
            return Ok(None);
        };
        if !may_use_more || self.quotas.is_empty() {
            return Ok(None);
        }
        let quotas = self.quotas.of(namespace);
        let mut asked = asked(registry, new, &quotas)?;
        for one in &mut asked {
            one.keep_more_than(&usage::of_object(registry.kind, old, one.quota));
        }
        asked.retain(|one| !one.wanted.is_empty());
        if asked.is_empty() {
            return Ok(None);
        }
        let write = (dry_run, Some(stored));
        self.charge(registry, namespace, &asked, new, write).await
    }

    /// Writes the charge, unless it is a dry run, and looks whether there is room.
    async fn charge(
        &self,
        registry: &Registry<'_>,
        namespace: &str,
        asked: &[Asked<'_>],
        object: &Value,
        (dry_run, changes): (bool, Option<Revision>),
    ) -> Result<Option<Charge>, Status> {
        let mut charge = None;
        if !dry_run {
            let mut charged = Use::new(&registry.key(meta::name(object)), changes);
            for one in asked {
                charged.add(meta::name(one.quota), &one.wanted);
            }
            let store = &registry.api.store;
            charge = Some(Charge::write(store, namespace, &charged).await?);
        }
        let room = self.check_room(registry, namespace, asked, object, charge.as_ref());
        match room.await {
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
        // The order is the proof: a write whose charge is gone by now has its
        // object among those that are read after.
        let store = &*registry.api.store;
        let mut earlier = self.charges.before(store, namespace, charge).await?;
        // Of two writes of one object only one will be made.
        let own = registry.key(meta::name(object));
        earlier.retain(|charged| !charged.is_for(&own));
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
        check_specified(registry, quota, object, &hard)?;
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
    /// What is wanted beyond what is had.
    fn keep_more_than(&mut self, had: &Usage) {
        self.wanted.retain(|name, amount| {
            if let Some(had) = had.get(name) {
                let kept = (*amount).min(*had);
                *amount -= kept;
            }
            *amount != Quantity::default()
        });
    }

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

/// What the namespace holds of the kind that is about to be written, and is
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
        if !charged.is_over(entries) {
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

/// A pod under a quota of cpu must say how much cpu it wants, in every container.
fn check_specified(
    registry: &Registry<'_>,
    quota: &Value,
    object: &Value,
    hard: &BTreeMap<&str, Quantity>,
) -> Result<(), Status> {
    if !registry.kind.is("", "pods") || !scopes::hold(registry.kind, object, quota) {
        return Ok(());
    }
    let mut missing = Vec::new();
    for name in hard.keys().copied() {
        let (list, resource) = match name {
            "cpu" | "memory" => ("requests", name),
            "requests.cpu" | "limits.cpu" | "requests.memory" | "limits.memory" => {
                name.split_once('.').unwrap_or(("requests", name))
            }
            _ => continue,
        };
        let by_pod = usage::amounts(&object["spec"], list).contains_key(resource);
        let lists = ["containers", "initContainers"].into_iter();
        let containers = lists.flat_map(|l| meta::items(&object["spec"], l));
        let silent = containers.filter(|c| !usage::amounts(c, list).contains_key(resource));
        let names: Vec<&str> = silent.map(|c| meta::text(c, "name")).collect();
        if !by_pod && !names.is_empty() {
            missing.push(format!("{name} for: {}", names.join(",")));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let name = meta::name(quota);
    let why = format!("failed quota: {name}: must specify {}", missing.join("; "));
    Err(refusal(registry, object, &why))
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

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{Context, Filter, Plugin, Prepared, Refusal};
use crate::cache::NodeInfo;
use crate::cluster::Cluster;
use crate::happened::Happened;
use crate::storage::{claims, claims_of};
use crate::template::Template;

pub const PLUGIN: Plugin = Plugin {
    name: "NodeVolumeLimits",
    weight: 0,
    prepare: Some(prepare),
    score: None,
    helps,
};

/// A driver, and what tells one of its volumes from another.
type Attached = (String, String);

struct Limits<'a> {
    cluster: &'a Cluster,
    wanted: HashSet<Attached>,
}

fn prepare(cx: Context<'_>) -> Prepared<'_> {
    let cluster = cx.cluster;
    if cx.pod.template.spec.volumes.is_empty() || cluster.storage.limits.is_empty() {
        return Prepared::Skip;
    }
    let wanted = attached(cluster, claims(cx.pod));
    Prepared::filter(Limits { cluster, wanted })
}

/// The volumes of these claims that a driver attaches; those that are still to
/// be made count too.
fn attached(cluster: &Cluster, claims: impl Iterator<Item = Arc<str>>) -> HashSet<Attached> {
    let storage = &cluster.storage;
    let found = claims.filter_map(|key| {
        let claim = storage.claims.get(&key)?;
        match &claim.volume {
            Some(volume) => storage.volumes.get(volume)?.csi.clone(),
            None => Some((storage.provisioner(claim)?.to_owned(), key.to_string())),
        }
    });
    found.collect()
}

impl Filter for Limits<'_> {
    fn check(&self, node: &NodeInfo) -> Result<(), Refusal> {
        let Some(limits) = self.cluster.storage.limits.get(&*node.name) else {
            return Ok(());
        };
        let limited = |(driver, _): &&Attached| limits.contains_key(driver);
        if !self.wanted.iter().any(|wanted| limited(&wanted)) {
            return Ok(());
        }
        let mut all = self.wanted.clone();
        for key in &node.pods {
            let name = key.split_once('/').map_or("", |(_, name)| name);
            if let Some(placed) = self.cluster.cache.pod(key) {
                all.extend(attached(self.cluster, claims_of(&placed.template, name)));
            }
        }
        let mut counts: HashMap<&str, i64> = HashMap::new();
        for (driver, _) in all.iter().filter(limited) {
            *counts.entry(driver).or_default() += 1;
        }
        let asked = |driver: &str| self.wanted.iter().any(|(wanted, _)| wanted == driver);
        if counts
            .iter()
            .all(|(driver, count)| !asked(driver) || *count <= limits[*driver])
        {
            return Ok(());
        }
        Err(Refusal::passing("node(s) exceed max volume count"))
    }
}

fn helps(happened: &Happened<'_>, _: &Template) -> bool {
    matches!(
        happened,
        Happened::NodeAdded(_) | Happened::PodLeft(_) | Happened::Storage
    )
}

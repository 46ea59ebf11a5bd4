use super::{Context, Filter, Plugin, Prepared, Refusal};
use crate::cache::NodeInfo;
use crate::happened::Happened;
use crate::storage::claims;
use crate::template::Template;

pub const PLUGIN: Plugin = Plugin {
    name: "VolumeZone",
    weight: 0,
    prepare: Some(prepare),
    score: None,
    helps,
};

/// Labels of volumes that say where they are.
const KEYS: [&str; 4] = [
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
];
/// Between the zones of a volume that is in several.
const AND: &str = "__";

/// Keys of labels, and values one of which the node's must be.
struct Zones<'a>(Vec<(&'static str, &'a str)>);

fn prepare(cx: Context<'_>) -> Prepared<'_> {
    let storage = &cx.cluster.storage;
    let bound = claims(cx.pod).filter_map(|key| storage.claims.get(&key)?.volume.as_ref());
    let volumes = bound.filter_map(|name| storage.volumes.get(name));
    let labelled = volumes.flat_map(|volume| {
        let labels = KEYS.iter();
        labels.filter_map(|key| Some((*key, volume.labels.get(key)?)))
    });
    let zones: Vec<_> = labelled.collect();
    if zones.is_empty() {
        return Prepared::Skip;
    }
    Prepared::filter(Zones(zones))
}

impl Filter for Zones<'_> {
    /// A node without any such label is not in a zoned cluster.
    fn check(&self, node: &NodeInfo) -> Result<(), Refusal> {
        let is_zoned = KEYS.iter().any(|key| node.label(key).is_some());
        let is_in = |(key, values): &(&str, &str)| {
            let value = node.label(key);
            value.is_some_and(|value| values.split(AND).any(|v| v == value))
        };
        if !is_zoned || self.0.iter().all(is_in) {
            return Ok(());
        }
        Err(Refusal::lasting("node(s) had no available volume zone"))
    }
}

fn helps(happened: &Happened<'_>, _: &Template) -> bool {
    matches!(happened, Happened::Storage) || happened.node().is_some()
}

use super::{Context, Plugin, scale};
use crate::cache::NodeInfo;
use crate::happened::Happened;
use crate::requests::Resource;
use crate::template::Template;

pub const PLUGIN: Plugin = Plugin {
    name: "NodeResourcesBalancedAllocation",
    weight: 1,
    prepare: None,
    score: Some(score),
    helps: never,
};

fn never(_: &Happened<'_>, _: &Template) -> bool {
    false
}

/// The closer the node's resources are to being used alike, the better. A pod
/// that asks for nothing changes nothing about that.
fn score(cx: Context<'_>, nodes: &[&NodeInfo]) -> Option<Vec<i64>> {
    let own = &cx.pod.template.requests.amounts;
    let resources = &cx.profile.balanced;
    if resources.iter().all(|resource| own.get(resource) == 0) {
        return None;
    }
    let asked = |r: &&Resource| own.get(r) > 0 || !matches!(r, Resource::Other(_));
    let resources: Vec<&Resource> = resources.iter().filter(asked).collect();
    let rate = |node: &&NodeInfo| {
        let shares = resources.iter().filter_map(|resource| {
            let have = node.offer.allocatable.get(resource);
            let used = node.requested.get(resource) + own.get(resource);
            (have > 0).then(|| (used as f64 / have as f64).min(1.0))
        });
        ((1.0 - deviation(shares)) * scale::HIGHEST as f64) as i64
    };
    Some(nodes.iter().map(rate).collect())
}

/// The standard deviation.
fn deviation(shares: impl Iterator<Item = f64> + Clone) -> f64 {
    let (count, sum) = shares
        .clone()
        .fold((0.0, 0.0), |(count, sum), share| (count + 1.0, sum + share));
    if count == 0.0 {
        return 0.0;
    }
    let mean = sum / count;
    let squares: f64 = shares.map(|share| (share - mean).powi(2)).sum();
    (squares / count).sqrt()
}

use k8s_openapi::api::core::v1::Taint;
use objects::taints::tolerates_any;

use super::{Context, Plugin, Prepared, Refusal, scale};
use crate::cache::NodeInfo;
use crate::happened::Happened;
use crate::template::Template;

pub const PLUGIN: Plugin = Plugin {
    name: "TaintToleration",
    weight: 3,
    prepare: Some(prepare),
    score: Some(score),
    helps,
};

fn prepare(cx: Context<'_>) -> Prepared<'_> {
    Prepared::check(cx.pod, check)
}

fn check(pod: &Template, node: &NodeInfo) -> Result<(), Refusal> {
    if tolerates_hard(pod, node) {
        return Ok(());
    }
    Err(Refusal::lasting("node(s) had untolerated taint(s)"))
}

/// The pod tolerates all taints that keep it off the node.
pub fn tolerates_hard(pod: &Template, node: &NodeInfo) -> bool {
    let keeps_off = |t: &&Taint| t.effect == "NoSchedule" || t.effect == "NoExecute";
    let mut taints = node.offer.taints.iter().filter(keeps_off);
    taints.all(|taint| tolerates_any(&pod.spec.tolerations, taint))
}

/// Soft taints that the pod does not tolerate: the fewer the better.
fn score(cx: Context<'_>, nodes: &[&NodeInfo]) -> Option<Vec<i64>> {
    let tolerations = &cx.pod.template.spec.tolerations;
    let untolerated = |node: &&NodeInfo| {
        let taints = node.offer.taints.iter();
        let soft = taints.filter(|t| t.effect == "PreferNoSchedule");
        let counted = soft.filter(|t| !tolerates_any(tolerations, t)).count();
        i64::try_from(counted).unwrap_or(i64::MAX / 100)
    };
    let counts: Vec<i64> = nodes.iter().map(untolerated).collect();
    let any = counts.iter().any(|count| *count > 0);
    any.then(|| scale::reversed(counts))
}

fn helps(happened: &Happened<'_>, pod: &Template) -> bool {
    happened
        .node()
        .is_some_and(|node| tolerates_hard(pod, node))
}

use k8s_openapi::api::core::v1::Taint;
use objects::taints::tolerates_any;

use super::{Context, Plugin, Prepared, Refusal};
use crate::cache::NodeInfo;
use crate::happened::Happened;
use crate::template::Template;

pub const PLUGIN: Plugin = Plugin {
    name: "NodeUnschedulable",
    weight: 0,
    prepare: Some(prepare),
    score: None,
    helps,
};

fn prepare(cx: Context<'_>) -> Prepared<'_> {
    Prepared::check(cx.pod, check)
}

/// A cordoned node takes only pods that tolerate the taint it stands for.
fn check(pod: &Template, node: &NodeInfo) -> Result<(), Refusal> {
    if !node.offer.is_unschedulable {
        return Ok(());
    }
    let cordon = Taint {
        key: "node.kubernetes.io/unschedulable".into(),
        effect: "NoSchedule".into(),
        ..Taint::default()
    };
    if tolerates_any(&pod.spec.tolerations, &cordon) {
        return Ok(());
    }
    Err(Refusal::lasting("node(s) were unschedulable"))
}

fn helps(happened: &Happened<'_>, pod: &Template) -> bool {
    happened.node().is_some_and(|node| check(pod, node).is_ok())
}

use super::{Context, Plugin, Prepared, Refusal};
use crate::cache::NodeInfo;
use crate::happened::Happened;
use crate::template::Template;

pub const PLUGIN: Plugin = Plugin {
    name: "NodePorts",
    weight: 0,
    prepare: Some(prepare),
    score: None,
    helps,
};

fn prepare(cx: Context<'_>) -> Prepared<'_> {
    if cx.pod.template.ports.is_empty() {
        return Prepared::Skip;
    }
    Prepared::check(cx.pod, check)
}

fn check(pod: &Template, node: &NodeInfo) -> Result<(), Refusal> {
    let taken = |wanted| node.ports.iter().any(|used| used.conflicts_with(wanted));
    if !pod.ports.iter().any(taken) {
        return Ok(());
    }
    let reason = "node(s) didn't have free ports for the requested pod ports";
    Err(Refusal::passing(reason))
}

fn helps(happened: &Happened<'_>, pod: &Template) -> bool {
    match happened {
        Happened::NodeAdded(_) => true,
        Happened::PodLeft(left) => {
            let wanted = |held| pod.ports.iter().any(|w| w.conflicts_with(held));
            left.ports.iter().any(wanted)
        }
        _ => false,
    }
}

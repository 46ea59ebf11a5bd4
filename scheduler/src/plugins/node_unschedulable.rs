use k8s_openapi::api::core::v1::Taint;
use objects::taints::tolerates_any;

use super::Refusal;
use crate::cache::{Candidate, NodeInfo};

/// A cordoned node takes only pods that tolerate the taint it stands for.
pub fn filter(pod: &Candidate, node: &NodeInfo) -> Result<(), Refusal> {
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
    Err(Refusal::node("node(s) were unschedulable"))
}

use k8s_openapi::api::core::v1::Taint;
use objects::taints::tolerates_any;

use super::Refusal;
use crate::cache::{Candidate, NodeInfo};

pub fn filter(pod: &Candidate, node: &NodeInfo) -> Result<(), Refusal> {
    let keeps_off = |t: &&Taint| t.effect == "NoSchedule" || t.effect == "NoExecute";
    let mut taints = node.offer.taints.iter().filter(keeps_off);
    match taints.find(|taint| !tolerates_any(&pod.spec.tolerations, taint)) {
        None => Ok(()),
        Some(taint) => Err(Refusal::node(format!(
            "node(s) had untolerated taint {{{}: {}}}",
            taint.key,
            taint.value.as_deref().unwrap_or_default()
        ))),
    }
}

/// Soft taints that the pod does not tolerate: the fewer the better.
pub fn score(pod: &Candidate, node: &NodeInfo) -> i64 {
    let soft = node
        .offer
        .taints
        .iter()
        .filter(|t| t.effect == "PreferNoSchedule");
    let untolerated = soft.filter(|taint| !tolerates_any(&pod.spec.tolerations, taint));
    i64::try_from(untolerated.count()).unwrap_or(i64::MAX)
}

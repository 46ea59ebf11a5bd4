use k8s_openapi::api::core::v1::{Taint, Toleration};

use super::Refusal;
use crate::cache::{Candidate, NodeInfo};

pub fn filter(pod: &Candidate, node: &NodeInfo) -> Result<(), Refusal> {
    let keeps_off = |t: &&Taint| t.effect == "NoSchedule" || t.effect == "NoExecute";
    let mut taints = node.offer.taints.iter().filter(keeps_off);
    match taints.find(|taint| !tolerates(&pod.spec.tolerations, taint)) {
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
    let untolerated = soft.filter(|taint| !tolerates(&pod.spec.tolerations, taint));
    i64::try_from(untolerated.count()).unwrap_or(i64::MAX)
}

pub fn tolerates(tolerations: &[Toleration], taint: &Taint) -> bool {
    tolerations.iter().any(|t| matches(t, taint))
}

fn matches(toleration: &Toleration, taint: &Taint) -> bool {
    let given = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
    if given(&toleration.effect).is_some_and(|effect| effect != taint.effect) {
        return false;
    }
    let key = given(&toleration.key);
    if key.as_ref().is_some_and(|key| *key != taint.key) {
        return false;
    }
    match toleration.operator.as_deref().unwrap_or("Equal") {
        "Exists" => true,
        "" | "Equal" => {
            key.is_some()
                && toleration.value.as_deref().unwrap_or_default()
                    == taint.value.as_deref().unwrap_or_default()
        }
        _ => false,
    }
}

use super::{Refusal, Wakeup};
use crate::cache::{Candidate, NodeInfo};

pub fn filter(pod: &Candidate, node: &NodeInfo) -> Result<(), Refusal> {
    let reasons = shortages(pod, node);
    if reasons.is_empty() {
        return Ok(());
    }
    Err(Refusal {
        reasons,
        wakeup: Wakeup::NodeOrPod,
    })
}

/// The more of the node stays free, the better.
pub fn least_allocated(pod: &Candidate, node: &NodeInfo) -> i64 {
    let (cpu, memory) = used_shares(pod, node);
    percent(((1.0 - cpu) + (1.0 - memory)) / 2.0)
}

/// The closer CPU and memory are to being used alike, the better.
pub fn balanced(pod: &Candidate, node: &NodeInfo) -> i64 {
    let (cpu, memory) = used_shares(pod, node);
    percent(1.0 - (cpu - memory).abs() / 2.0)
}

fn shortages(pod: &Candidate, node: &NodeInfo) -> Vec<String> {
    let mut reasons = Vec::new();
    if node.pods + 1 > node.offer.allowed_pods {
        reasons.push("Too many pods".to_owned());
    }
    let (want, have, used) = (
        &pod.requests.amounts,
        &node.offer.allocatable,
        &node.requested,
    );
    let mut check = |name: &str, want: i64, have: i64, used: i64| {
        if want > 0 && want > have.saturating_sub(used) {
            reasons.push(format!("Insufficient {name}"));
        }
    };
    check("cpu", want.milli_cpu, have.milli_cpu, used.milli_cpu);
    check("memory", want.memory, have.memory, used.memory);
    check(
        "ephemeral-storage",
        want.ephemeral_storage,
        have.ephemeral_storage,
        used.ephemeral_storage,
    );
    for (name, amount) in &want.others {
        let of = |amounts: &crate::requests::Amounts| amounts.others.get(name).copied();
        check(name, *amount, of(have).unwrap_or(0), of(used).unwrap_or(0));
    }
    reasons
}

/// The shares of the node's CPU and memory in use with the pod on it.
fn used_shares(pod: &Candidate, node: &NodeInfo) -> (f64, f64) {
    let share = |used: i64, wanted: i64, have: i64| {
        if have <= 0 {
            return 1.0;
        }
        (used.saturating_add(wanted) as f64 / have as f64).min(1.0)
    };
    (
        share(
            node.scored_milli_cpu,
            pod.requests.scored_milli_cpu,
            node.offer.allocatable.milli_cpu,
        ),
        share(
            node.scored_memory,
            pod.requests.scored_memory,
            node.offer.allocatable.memory,
        ),
    )
}

fn percent(share: f64) -> i64 {
    (share * 100.0) as i64
}

use super::{Refusal, Wakeup};
use crate::cache::{Candidate, NodeInfo};

pub fn filter(pod: &Candidate, node: &NodeInfo) -> Result<(), Refusal> {
    let taken = |wanted| node.ports.iter().any(|used| used.conflicts_with(wanted));
    if !pod.ports.iter().any(taken) {
        return Ok(());
    }
    Err(Refusal {
        reasons: vec!["node(s) didn't have free ports for the requested pod ports".into()],
        wakeup: Wakeup::NodeOrPod,
    })
}

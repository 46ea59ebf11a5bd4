use super::Refusal;
use crate::cache::{Candidate, NodeInfo};

pub fn filter(pod: &Candidate, node: &NodeInfo) -> Result<(), Refusal> {
    match pod.spec.node_name.as_deref() {
        None | Some("") => Ok(()),
        Some(name) if name == node.name => Ok(()),
        Some(_) => Err(Refusal::node(
            "node(s) didn't match the requested node name",
        )),
    }
}

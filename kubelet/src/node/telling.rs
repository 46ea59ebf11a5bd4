//! Events about the node itself.

use std::borrow::Cow;
use std::sync::Arc;

use events::{Events, Level, Recorder, Told};
use k8s_openapi::api::core::v1::{NodeCondition, NodeStatus, ObjectReference};

/// Tells about this node; cheap to clone.
#[derive(Clone)]
pub struct NodeEvents {
    recorder: Recorder,
    node: Arc<str>,
}

impl NodeEvents {
    pub fn new(events: &Events, node: &str) -> Self {
        Self {
            recorder: events.recorder_on("kubelet", node),
            node: node.into(),
        }
    }

    pub fn tell(&self, level: Level, reason: impl Into<Cow<'static, str>>, message: String) {
        // As with Kubernetes' kubelet, which knows its name before its object: so it is looked for.
        let about = ObjectReference {
            kind: Some("Node".to_owned()),
            name: Some(self.node.to_string()),
            uid: Some(self.node.to_string()),
            ..ObjectReference::default()
        };
        self.recorder.tell(Told {
            about,
            level,
            reason: reason.into(),
            action: None,
            message,
        });
    }

    /// Tells what is new about the node, if it was known before.
    pub fn tell_changes(&self, before: Option<&NodeStatus>, now: &NodeStatus) {
        if let Some(boot) = new_boot(before, now) {
            let message = format!("Node {} has been rebooted, boot id: {boot}", self.node);
            self.tell(Level::Warning, "Rebooted", message);
        }
        for reason in new_conditions(before, now) {
            let message = format!("Node {} status is now: {reason}", self.node);
            self.tell(Level::Normal, reason, message);
        }
    }
}

/// The machine's new boot id, if it was started anew.
fn new_boot<'n>(before: Option<&NodeStatus>, now: &'n NodeStatus) -> Option<&'n str> {
    let boot = |status: &'n NodeStatus| status.node_info.as_ref().map(|info| info.boot_id.as_str());
    let known = before?.node_info.as_ref()?.boot_id.as_str();
    boot(now).filter(|boot| !known.is_empty() && !boot.is_empty() && *boot != known)
}

/// What the conditions that have changed are called in events.
fn new_conditions(before: Option<&NodeStatus>, now: &NodeStatus) -> Vec<String> {
    let known = |condition: &&NodeCondition| {
        let conditions = before.and_then(|status| status.conditions.as_ref());
        let mut same = conditions.into_iter().flatten();
        same.any(|c| c.type_ == condition.type_ && c.status == condition.status)
    };
    let changed = now.conditions.iter().flatten().filter(|c| !known(c));
    changed
        .filter_map(
            |condition| match (condition.type_.as_str(), condition.status.as_str()) {
                ("Ready", "True") => Some("NodeReady".to_owned()),
                ("Ready", _) => Some("NodeNotReady".to_owned()),
                ("DiskPressure", "True") => Some("NodeHasDiskPressure".to_owned()),
                ("DiskPressure", _) => Some("NodeHasNoDiskPressure".to_owned()),
                (name, _) if name.ends_with("Pressure") => Some(format!(
                    "NodeHas{}",
                    condition.reason.as_deref()?.strip_prefix("KubeletHas")?
                )),
                _ => None,
            },
        )
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(boot: &str, conditions: &[(&str, &str, &str)]) -> NodeStatus {
        let conditions: Vec<_> = conditions
            .iter()
            .map(|(name, status, reason)| json!({ "type": name, "status": status, "reason": reason }))
            .collect();
        let mut status: NodeStatus =
            serde_json::from_value(json!({ "conditions": conditions })).unwrap();
        status.node_info.get_or_insert_default().boot_id = boot.to_owned();
        status
    }

    #[test]
    fn another_boot_id_is_a_reboot() {
        let (first, second) = (status("a", &[]), status("b", &[]));
        assert_eq!(new_boot(Some(&first), &second), Some("b"));
        assert_eq!(new_boot(Some(&first), &first), None);
        assert_eq!(new_boot(Some(&status("", &[])), &second), None);
        assert_eq!(new_boot(Some(&first), &status("", &[])), None);
        assert_eq!(new_boot(None, &second), None);
    }

    #[test]
    fn conditions_that_change_have_kubernetes_words() {
        let all = |memory: (&str, &str), disk: &str, pids: (&str, &str), ready: &str| {
            let conditions = [
                ("MemoryPressure", memory.0, memory.1),
                ("DiskPressure", disk, "x"),
                ("PIDPressure", pids.0, pids.1),
                ("Ready", ready, "x"),
                ("Others", ready, "x"),
            ];
            status("a", &conditions)
        };
        let well = all(
            ("False", "KubeletHasSufficientMemory"),
            "False",
            ("False", "KubeletHasSufficientPID"),
            "True",
        );
        let ill = all(
            ("True", "KubeletHasInsufficientMemory"),
            "True",
            ("True", "KubeletHasInsufficientPID"),
            "False",
        );
        let expected = [
            "NodeHasInsufficientMemory",
            "NodeHasDiskPressure",
            "NodeHasInsufficientPID",
            "NodeNotReady",
        ];
        assert_eq!(new_conditions(Some(&well), &ill), expected);
        let expected = [
            "NodeHasSufficientMemory",
            "NodeHasNoDiskPressure",
            "NodeHasSufficientPID",
            "NodeReady",
        ];
        assert_eq!(new_conditions(Some(&ill), &well), expected);
        assert!(new_conditions(Some(&ill), &ill).is_empty());
    }
}

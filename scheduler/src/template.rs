//! What pods of one making have in common, read once and held once.
//!
//! Pods of one controller differ in name and little else, so thousands of them
//! share what their spec and labels say. Where pods are counted, they are
//! counted by template: a selector is asked once for all of them.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Weak};

use objects::labels::Labels;

use crate::affinity::Affinity;
use crate::object::{Pod, PodSpec};
use crate::ports::{HostPort, host_ports};
use crate::requests::Requests;
use crate::spread::Constraint;

#[derive(Debug, Default)]
pub struct Template {
    pub namespace: Box<str>,
    pub labels: Labels,
    /// Without the node's name.
    pub spec: PodSpec,
    /// Kind and name of the controller.
    pub owner: Option<(Box<str>, Box<str>)>,
    pub requests: Requests,
    pub ports: Vec<HostPort>,
    pub affinity: Affinity,
    pub spread: Vec<Constraint>,
}

/// All templates of pods that are still known.
#[derive(Default)]
pub struct Templates {
    known: HashMap<u64, Vec<Weak<Template>>>,
    added: usize,
    sweep_at: usize,
}

const SWEEP_AT_LEAST: usize = 1024;

impl Template {
    /// Takes labels and spec out of the pod.
    fn take(pod: &mut Pod) -> Self {
        let owners = pod.metadata.owner_references.take().unwrap_or_default();
        let owner = owners.into_iter().find(|o| o.controller == Some(true));
        let mut spec = std::mem::take(&mut pod.spec);
        spec.node_name = None;
        Self {
            namespace: pod.namespace().into(),
            labels: pod.metadata.labels.take().unwrap_or_default().into(),
            owner: owner.map(|o| (o.kind.into(), o.name.into())),
            spec,
            ..Self::default()
        }
    }

    fn work_out(mut self) -> Self {
        self.requests = Requests::of(&self.spec);
        self.ports = host_ports(&self.spec);
        self.affinity = Affinity::of(&self.namespace, &self.labels, &self.spec.affinity);
        let constraints = self.spec.topology_spread_constraints.iter();
        let labels = &self.labels;
        self.spread = constraints.map(|c| Constraint::of(c, labels)).collect();
        self
    }

    fn is_like(&self, other: &Self) -> bool {
        self.namespace == other.namespace
            && self.labels == other.labels
            && self.owner == other.owner
            && self.spec == other.spec
    }

    /// Different for most templates that differ, DaemonSets' included, whose
    /// pods name their node in their affinity.
    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.namespace, &self.labels, &self.owner).hash(&mut hasher);
        self.spec.priority.hash(&mut hasher);
        for container in &self.spec.containers {
            (&container.image, &container.resources.requests).hash(&mut hasher);
        }
        for volume in &self.spec.volumes {
            volume.hash(&mut hasher);
        }
        let affinity = self.spec.affinity.node_affinity.as_ref();
        let required = affinity.and_then(|a| {
            a.required_during_scheduling_ignored_during_execution
                .as_ref()
        });
        let terms = required.iter().flat_map(|r| &r.node_selector_terms);
        for field in terms.flat_map(|t| t.match_fields.iter().flatten()) {
            field.values.hash(&mut hasher);
        }
        hasher.finish()
    }
}

impl Templates {
    /// The pod's template, shared with those that have it too; what it is made
    /// of is taken out of the pod.
    pub fn take(&mut self, pod: &mut Pod) -> Arc<Template> {
        let template = Template::take(pod);
        let known = self.known.entry(template.hash()).or_default();
        let mut live = known.iter().filter_map(Weak::upgrade);
        if let Some(same) = live.find(|known| known.is_like(&template)) {
            return same;
        }
        let template = Arc::new(template.work_out());
        known.push(Arc::downgrade(&template));
        self.added += 1;
        if self.added > self.sweep_at {
            self.sweep();
        }
        template
    }

    fn sweep(&mut self) {
        self.known.retain(|_, templates| {
            templates.retain(|template| template.strong_count() > 0);
            !templates.is_empty()
        });
        self.added = self.known.len();
        self.sweep_at = (self.added * 2).max(SWEEP_AT_LEAST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, app: &str, priority: i32) -> Pod {
        let pod = json!({
            "metadata": { "name": name, "namespace": "d", "labels": { "app": app } },
            "spec": { "priority": priority, "nodeName": name },
        });
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn equal_pods_share_one_template_and_others_have_their_own() {
        let mut templates = Templates::default();
        let first = templates.take(&mut pod("a", "web", 1));
        let same = templates.take(&mut pod("b", "web", 1));
        assert!(Arc::ptr_eq(&first, &same));
        assert!(!Arc::ptr_eq(
            &first,
            &templates.take(&mut pod("c", "db", 1))
        ));
        assert!(!Arc::ptr_eq(
            &first,
            &templates.take(&mut pod("d", "web", 2))
        ));
    }

    #[test]
    fn templates_of_pods_that_are_gone_are_forgotten() {
        let mut templates = Templates::default();
        for number in 0..10_000 {
            templates.take(&mut pod("a", &number.to_string(), 1));
        }
        assert!(templates.known.len() <= SWEEP_AT_LEAST + 1);
    }
}

//! What pods want of the pods around them.

use objects::labels::Labels;

use k8s_openapi::api::core::v1::{PodAffinityTerm, WeightedPodAffinityTerm};

use crate::namespaces::Namespaces;
use crate::object::pod_spec;
use crate::selector::Selector;
use crate::template::Template;

/// A pod's affinity and anti-affinity to other pods.
#[derive(Debug, Default)]
pub struct Affinity {
    pub required: Vec<Term>,
    pub required_anti: Vec<Term>,
    /// Anti-affinity has negative weights.
    pub preferred: Vec<(i64, Term)>,
}

/// Pods that are meant, and how near is near.
#[derive(Debug)]
pub struct Term {
    pub topology_key: Box<str>,
    selector: Selector,
    namespaces: Vec<String>,
    namespace_selector: Selector,
}

impl Affinity {
    /// `namespace` and `labels` are those of the pod that has this affinity.
    pub fn of(namespace: &str, labels: &Labels, affinity: &pod_spec::Affinity) -> Self {
        let term = |term: &PodAffinityTerm| Term::of(term, namespace, labels);
        let to = &affinity.pod_affinity;
        let from = &affinity.pod_anti_affinity;
        let weighted = |terms: &Option<Vec<WeightedPodAffinityTerm>>, sign: i64| {
            let terms = terms.iter().flatten();
            let read = terms.map(|t| (sign * i64::from(t.weight), term(&t.pod_affinity_term)));
            read.collect::<Vec<_>>()
        };
        let required = |terms: &Option<Vec<PodAffinityTerm>>| -> Vec<Term> {
            terms.iter().flatten().map(term).collect()
        };
        let mut preferred = weighted(&to.preferred_during_scheduling_ignored_during_execution, 1);
        preferred.extend(weighted(
            &from.preferred_during_scheduling_ignored_during_execution,
            -1,
        ));
        Self {
            required: required(&to.required_during_scheduling_ignored_during_execution),
            required_anti: required(&from.required_during_scheduling_ignored_during_execution),
            preferred,
        }
    }

    pub fn is_none(&self) -> bool {
        self.required.is_empty() && self.required_anti.is_empty() && self.preferred.is_empty()
    }
}

impl Term {
    fn of(term: &PodAffinityTerm, namespace: &str, labels: &Labels) -> Self {
        let mut namespaces = term.namespaces.clone().unwrap_or_default();
        if namespaces.is_empty() && term.namespace_selector.is_none() {
            namespaces.push(namespace.to_owned());
        }
        let selector = Selector::read(term.label_selector.as_ref())
            .with_keys_of(term.match_label_keys.as_ref(), labels)
            .without_keys_of(term.mismatch_label_keys.as_ref(), labels);
        Self {
            topology_key: term.topology_key.as_str().into(),
            selector,
            namespaces,
            namespace_selector: Selector::read(term.namespace_selector.as_ref()),
        }
    }

    /// The term means pods of this template.
    pub fn means(&self, pods: &Template, namespaces: &Namespaces) -> bool {
        self.selector.matches(&pods.labels) && self.covers(&pods.namespace, namespaces)
    }

    fn covers(&self, namespace: &str, namespaces: &Namespaces) -> bool {
        self.namespaces.iter().any(|name| name == namespace)
            || self.namespace_selector.is_everything()
            || self
                .namespace_selector
                .matches(namespaces.labels(namespace))
    }
}

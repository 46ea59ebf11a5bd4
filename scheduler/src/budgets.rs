//! PodDisruptionBudgets: which pods preemption had better spare.

use std::collections::{HashMap, HashSet};

use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use crate::selector::Selector;
use crate::template::Template;

/// By namespace and name.
#[derive(Default)]
pub struct Budgets(HashMap<String, HashMap<String, Budget>>);

struct Budget {
    selector: Selector,
    allowed: i32,
    /// Pods that are counted as gone already.
    disrupted: HashSet<String>,
}

impl Budgets {
    pub fn set(&mut self, budget: PodDisruptionBudget) {
        let (meta, status) = (budget.metadata, budget.status.unwrap_or_default());
        let selector = budget.spec.and_then(|spec| spec.selector);
        let disrupted = status.disrupted_pods.unwrap_or_default();
        let kept = Budget {
            selector: Selector::read(selector.as_ref()),
            allowed: status.disruptions_allowed.unwrap_or(0),
            disrupted: disrupted.into_keys().collect(),
        };
        let namespace = self.0.entry(meta.namespace.unwrap_or_default());
        namespace
            .or_default()
            .insert(meta.name.unwrap_or_default(), kept);
    }

    pub fn remove(&mut self, namespace: &str, name: &str) {
        if let Some(budgets) = self.0.get_mut(namespace) {
            budgets.remove(name);
        }
    }

    pub fn keys(&self) -> Vec<String> {
        let all = self.0.iter().flat_map(|(namespace, budgets)| {
            budgets
                .keys()
                .map(move |name| format!("{namespace}/{name}"))
        });
        all.collect()
    }

    /// Counts what is taken of each budget while pods are chosen.
    pub fn ledger(&self) -> Ledger<'_> {
        Ledger {
            budgets: self,
            taken: HashMap::new(),
        }
    }
}

pub struct Ledger<'b> {
    budgets: &'b Budgets,
    taken: HashMap<(&'b str, &'b str), i32>,
}

impl Ledger<'_> {
    /// Takes the pod's disruption from all budgets it is under; true if one of
    /// them does not allow it.
    pub fn take(&mut self, pod: &Template, name: &str) -> bool {
        let Some((namespace, budgets)) = self.budgets.0.get_key_value(&*pod.namespace) else {
            return false;
        };
        let mut is_violated = false;
        for (budget_name, budget) in budgets {
            let covers = !budget.selector.is_everything() && budget.selector.matches(&pod.labels);
            if !covers || budget.disrupted.contains(name) {
                continue;
            }
            let taken = self.taken.entry((namespace, budget_name)).or_default();
            *taken += 1;
            is_violated |= *taken > budget.allowed;
        }
        is_violated
    }
}

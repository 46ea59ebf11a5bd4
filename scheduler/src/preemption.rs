//! Which pods of lower priority have to go so that one of higher priority fits.
//!
//! As few and as unimportant ones as can be, none under a budget that does not
//! allow it if there is another way, and only where their going helps.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;

use crate::budgets::Budgets;
use crate::cache::{NodeIndex, NodeInfo, Placed};
use crate::cycle::diagnosis::{Diagnosis, histogram};
use crate::filters::Filters;
use crate::nominations::Nominations;
use crate::plugins::{Context, Refusal, Supposed};

/// Of many nodes, a tenth is tried, but no fewer than this.
const ALWAYS_TRY: usize = 100;

/// Where the pod can go once these are gone.
#[derive(Debug, PartialEq, Eq)]
pub struct Way {
    pub node: NodeIndex,
    /// Keys of pods.
    pub victims: Vec<Arc<str>>,
}

/// Why other pods' going does not help, in Kubernetes' words.
#[derive(Debug, PartialEq, Eq)]
pub enum NoWay {
    /// The pod may not preempt, or has done so already.
    NotEligible(String),
    Unhelpful(String),
}

pub struct Search<'a> {
    pub cx: Context<'a>,
    pub nominations: &'a Nominations,
    pub budgets: &'a Budgets,
    pub diagnosis: &'a Diagnosis,
}

struct Clearing<'a> {
    node: NodeIndex,
    /// The most important first.
    victims: Vec<Victim<'a>>,
    violations: usize,
}

#[derive(Clone, Copy)]
struct Victim<'a> {
    key: &'a Arc<str>,
    placed: &'a Placed,
}

impl<'a> Search<'a> {
    /// # Errors
    /// Why there is no way.
    pub fn run(&self, turn: usize) -> Result<Way, NoWay> {
        self.check_eligible()?;
        let cache = &self.cx.cluster.cache;
        let nodes: Vec<&NodeInfo> = cache.nodes().collect();
        let may_be_cleared = self.diagnosis.clearable();
        let (hopeful, hopeless): (Vec<&NodeInfo>, Vec<&NodeInfo>) =
            nodes.iter().partition(|node| may_be_cleared(node.index));
        let mut refusals = Vec::new();
        if let Ok(filters) = Filters::prepare(self.cx, self.nominations)
            && let Some(way) = self.best(filters, &hopeful, turn, &mut refusals)
        {
            return Ok(way);
        }
        let unhelpful = Refusal::lasting("Preemption is not helpful for scheduling");
        let rest = (!hopeless.is_empty()).then_some((&unhelpful, hopeless.len()));
        let tried = refusals.iter().map(|refusal| (refusal, 1));
        let why = histogram(nodes.len(), tried.chain(rest));
        Err(NoWay::Unhelpful(why))
    }

    fn check_eligible(&self) -> Result<(), NoWay> {
        let pod = self.cx.pod;
        if pod.template.spec.preemption_policy.as_deref() == Some("Never") {
            let why = "not eligible due to preemptionPolicy=Never.";
            return Err(NoWay::NotEligible(why.into()));
        }
        let cache = &self.cx.cluster.cache;
        let nominated = pod.nominated.as_ref().and_then(|name| cache.find(name));
        let Some(node) = nominated.filter(|node| self.diagnosis.clearable()(node.index)) else {
            return Ok(());
        };
        let mut there = node.pods.iter().filter_map(|key| cache.pod(key));
        if there.any(|p| p.is_preempted && p.template.spec.priority() < pod.priority()) {
            let why = "not eligible due to a terminating pod on the nominated node.";
            return Err(NoWay::NotEligible(why.into()));
        }
        Ok(())
    }

    fn best(
        &self,
        mut filters: Filters<'a>,
        nodes: &[&'a NodeInfo],
        turn: usize,
        refusals: &mut Vec<Refusal>,
    ) -> Option<Way> {
        let with_lower = self.nodes_with_lower();
        let enough = (nodes.len() / 10).max(ALWAYS_TRY);
        let mut ways: Vec<Clearing<'a>> = Vec::new();
        for at in 0..nodes.len() {
            let node = nodes[(turn + at) % nodes.len()];
            if !with_lower.contains(&node.index) {
                let reason = "No preemption victims found for incoming pod";
                refusals.push(Refusal::lasting(reason));
                continue;
            }
            match self.clear(&mut filters, node) {
                Ok(way) => ways.push(way),
                Err(refusal) => refusals.push(refusal),
            }
            if ways.len() >= enough && ways.iter().any(|way| way.violations == 0) {
                break;
            }
        }
        let best = ways.into_iter().min_by_key(Clearing::cost)?;
        Some(Way {
            node: best.node,
            victims: best.victims.iter().map(|v| v.key.clone()).collect(),
        })
    }

    fn nodes_with_lower(&self) -> HashSet<NodeIndex> {
        let priority = self.cx.pod.priority();
        let classes = self.cx.cluster.cache.classes.all();
        let lower = classes.filter(|class| class.template.spec.priority() < priority);
        lower
            .flat_map(|class| class.nodes().map(|(node, _)| node))
            .collect()
    }

    /// What has to go from one node.
    fn clear(
        &self,
        filters: &mut Filters<'a>,
        node: &'a NodeInfo,
    ) -> Result<Clearing<'a>, Refusal> {
        let mut lower = self.lower_on(node);
        lower.sort_by_key(|victim| (Reverse(victim.priority()), victim.start()));
        let mut trial = Trial {
            filters,
            node: node.clone(),
        };
        lower.iter().for_each(|victim| trial.remove(victim));
        if let Err((_, refusal)) = trial.filters.check(&trial.node) {
            lower.iter().for_each(|victim| trial.put_back(victim));
            return Err(refusal);
        }
        let (violating, other) = self.split_by_budget(lower);
        let violations = trial.spare(violating);
        let mut victims = violations.clone();
        victims.extend(trial.spare(other));
        victims.iter().for_each(|victim| trial.put_back(victim));
        victims.sort_by_key(|victim| (Reverse(victim.priority()), victim.start()));
        Ok(Clearing {
            node: node.index,
            violations: violations.len(),
            victims,
        })
    }

    fn lower_on(&self, node: &'a NodeInfo) -> Vec<Victim<'a>> {
        let (cache, priority) = (&self.cx.cluster.cache, self.cx.pod.priority());
        let there = node.pods.iter();
        let there = there.filter_map(|key| {
            Some(Victim {
                key,
                placed: cache.pod(key)?,
            })
        });
        there
            .filter(|victim| victim.priority() < priority)
            .collect()
    }

    /// Those whose going would break a budget, and the others.
    fn split_by_budget(&self, pods: Vec<Victim<'a>>) -> (Vec<Victim<'a>>, Vec<Victim<'a>>) {
        let mut ledger = self.budgets.ledger();
        pods.into_iter().partition(|victim| {
            let name = victim.key.split_once('/').map_or("", |(_, name)| name);
            ledger.take(&victim.placed.template, name)
        })
    }
}

/// A node from which pods are taken for the sake of argument.
struct Trial<'t, 'a> {
    filters: &'t mut Filters<'a>,
    node: NodeInfo,
}

impl Trial<'_, '_> {
    fn remove(&mut self, victim: &Victim<'_>) {
        self.node.free(victim.key, &victim.placed.template);
        self.filters.suppose(&victim.moved(self.node.index, -1));
    }

    fn put_back(&mut self, victim: &Victim<'_>) {
        self.node.hold(victim.key.clone(), &victim.placed.template);
        self.filters.suppose(&victim.moved(self.node.index, 1));
    }

    /// Puts back as many as it can, the most important first; returns the others.
    fn spare<'v>(&mut self, pods: Vec<Victim<'v>>) -> Vec<Victim<'v>> {
        let mut victims = Vec::new();
        for pod in pods {
            self.put_back(&pod);
            if self.filters.check(&self.node).is_err() {
                self.remove(&pod);
                victims.push(pod);
            }
        }
        victims
    }
}

impl<'a> Victim<'a> {
    fn priority(&self) -> i32 {
        self.placed.template.spec.priority()
    }

    /// A pod that has not started is the youngest.
    fn start(&self) -> i64 {
        self.placed.started.unwrap_or(i64::MAX)
    }

    fn moved(&self, node: NodeIndex, by: i64) -> Supposed<'a> {
        Supposed {
            template: &self.placed.template,
            node,
            by,
            is_ending: self.placed.is_ending,
        }
    }
}

impl Clearing<'_> {
    /// Budgets first, then the most important victim, all of them together,
    /// their number, and how long the most important have been running.
    fn cost(&self) -> (usize, i32, i64, usize, Reverse<i64>) {
        let highest = self.victims.first().map_or(i32::MIN, Victim::priority);
        // Shifted, so that two pods of negative priority cost more than one.
        let shifted = |victim: &Victim<'_>| i64::from(victim.priority()) - i64::from(i32::MIN);
        let most_important = self.victims.iter().filter(|v| v.priority() == highest);
        let earliest = most_important.map(Victim::start).min();
        (
            self.violations,
            highest,
            self.victims.iter().map(shifted).sum(),
            self.victims.len(),
            Reverse(earliest.unwrap_or(i64::MAX)),
        )
    }
}

#[cfg(test)]
mod tests;

//! Why no node would do, node by node and in words.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use crate::cache::NodeIndex;
use crate::filters::Refused;
use crate::plugins::{Refusal, Set};

#[derive(Debug)]
pub struct Diagnosis {
    /// Nodes there are.
    pub all: usize,
    /// Each node once.
    by_node: Vec<(NodeIndex, Refusal)>,
    /// What is true of the nodes that were not looked at.
    others: Option<Refusal>,
    /// A plugin let the pod go nowhere.
    is_everywhere: bool,
    pub(super) plugins: Set,
}

impl Diagnosis {
    pub fn new(all: usize) -> Self {
        Self {
            all,
            by_node: Vec::new(),
            others: None,
            is_everywhere: false,
            plugins: Set::default(),
        }
    }

    pub fn refused(&mut self, node: NodeIndex, (plugin, refusal): Refused) {
        self.plugins.insert(plugin);
        self.by_node.push((node, refusal));
    }

    pub fn refused_others(&mut self, (plugin, refusal): Refused) {
        self.plugins.insert(plugin);
        self.others = Some(refusal);
    }

    pub fn refused_everywhere(mut self, refused: Refused) -> Self {
        self.refused_others(refused);
        self.is_everywhere = true;
        self
    }

    /// Whether other pods' leaving may help, by node.
    pub fn clearable(&self) -> impl Fn(NodeIndex) -> bool {
        let by_node = self.by_node.iter().map(|(node, refusal)| (node, refusal));
        let by_node: HashMap<_, _> = by_node.collect();
        move |node| {
            let refusal = by_node.get(&node).copied().or(self.others.as_ref());
            refusal.is_some_and(|refusal| !refusal.is_final)
        }
    }

    pub fn message(&self) -> String {
        if self.all == 0 {
            return "no nodes available to schedule pods".into();
        }
        if let Some(everywhere) = self.others.as_ref().filter(|_| self.is_everywhere) {
            return sentence(self.all, &everywhere.reasons.join(", "));
        }
        let looked_at = self.by_node.iter().map(|(_, refusal)| (refusal, 1));
        let rest = self.all - self.by_node.len().min(self.all);
        let others = self.others.as_ref().filter(|_| rest > 0);
        histogram(
            self.all,
            looked_at.chain(others.map(|refusal| (refusal, rest))),
        )
    }
}

/// `0/3 nodes are available: 1 this, 2 that.`
pub fn histogram<'r>(all: usize, refusals: impl Iterator<Item = (&'r Refusal, usize)>) -> String {
    let mut counts: BTreeMap<&Cow<'static, str>, usize> = BTreeMap::new();
    for (refusal, nodes) in refusals {
        for reason in &refusal.reasons {
            *counts.entry(reason).or_default() += nodes;
        }
    }
    let mut texts: Vec<String> = counts.iter().map(|(r, n)| format!("{n} {r}")).collect();
    texts.sort();
    sentence(all, &texts.join(", "))
}

fn sentence(all: usize, reasons: &str) -> String {
    format!("0/{all} nodes are available: {reasons}.")
}

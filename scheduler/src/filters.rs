//! The filters of one decision, ready to be asked about nodes.

use crate::cache::NodeInfo;
use crate::nominations::Nominations;
use crate::plugins::{ALL, Context, Filter, Prepared, Refusal, Supposed};

pub struct Filters<'a> {
    cx: Context<'a>,
    nominations: &'a Nominations,
    active: Vec<(usize, Box<dyn Filter + 'a>)>,
}

/// Which plugin refused, and why.
pub type Refused = (usize, Refusal);

impl<'a> Filters<'a> {
    /// # Errors
    /// A plugin that lets the pod go nowhere.
    pub fn prepare(cx: Context<'a>, nominations: &'a Nominations) -> Result<Self, Refused> {
        let mut active = Vec::with_capacity(cx.profile.filters.len());
        for at in &cx.profile.filters {
            let Some(prepare) = ALL[*at].prepare else {
                continue;
            };
            match prepare(cx) {
                Prepared::Skip => {}
                Prepared::Refused(refusal) => return Err((*at, refusal)),
                Prepared::Filter(filter) => active.push((*at, filter)),
            }
        }
        Ok(Self {
            cx,
            nominations,
            active,
        })
    }

    /// The nodes that one of the filters leaves, with that filter, if it knows them by name.
    pub fn only(&self) -> Option<(usize, Vec<String>)> {
        let mut known = self.active.iter();
        known.find_map(|(at, filter)| Some((*at, filter.only()?.to_vec())))
    }

    /// Whether the pod may go to the node, also when pods that the node is
    /// being cleared for have come there.
    ///
    /// # Errors
    /// The first plugin to refuse.
    pub fn check(&mut self, node: &NodeInfo) -> Result<(), Refused> {
        let expected = self.nominations.expected_at(&node.name, self.cx.pod);
        if !expected.is_empty() {
            let mut with = node.clone();
            for pod in &expected {
                with.hold(pod.key.clone(), &pod.template);
                self.suppose(&Supposed::came(&pod.template, node.index));
            }
            let checked = self.check_alone(&with);
            for pod in &expected {
                self.suppose(&Supposed::left(&pod.template, node.index));
            }
            checked?;
        }
        self.check_alone(node)
    }

    fn check_alone(&self, node: &NodeInfo) -> Result<(), Refused> {
        for (at, filter) in &self.active {
            filter.check(node).map_err(|refusal| (*at, refusal))?;
        }
        Ok(())
    }

    pub fn suppose(&mut self, supposed: &Supposed<'_>) {
        for (_, filter) in &mut self.active {
            filter.suppose(supposed);
        }
    }
}

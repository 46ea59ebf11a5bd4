//! Parked pods, those alike together: whether something helps is asked once
//! for all of them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::cache::Candidate;
use crate::happened::Happened;
use crate::plugins::Set;
use crate::template::Template;

#[derive(Default)]
pub struct Parked {
    /// By the template's address, and by what refused it.
    groups: HashMap<(usize, Set), Group>,
    /// Of all groups together.
    pods: usize,
}

struct Group {
    template: Arc<Template>,
    pods: HashSet<Arc<str>>,
}

impl Parked {
    pub fn add(&mut self, pod: &Candidate, refused_by: Set) {
        let group = self.groups.entry(group(pod, refused_by));
        let group = group.or_insert_with(|| Group {
            template: pod.template.clone(),
            pods: HashSet::new(),
        });
        self.pods += usize::from(group.pods.insert(pod.key.clone()));
    }

    pub fn remove(&mut self, pod: &Candidate, refused_by: Set) {
        let id = group(pod, refused_by);
        if let Some(group) = self.groups.get_mut(&id) {
            self.pods -= usize::from(group.pods.remove(&pod.key));
            if group.pods.is_empty() {
                self.groups.remove(&id);
            }
        }
    }

    /// Takes out the pods that this may help.
    pub fn take_helped(&mut self, happened: &Happened<'_>) -> Vec<Arc<str>> {
        if self.groups.is_empty() {
            return Vec::new();
        }
        let helped = self
            .groups
            .extract_if(|(_, refused_by), group| refused_by.are_helped(happened, &group.template));
        let helped: Vec<Arc<str>> = helped.flat_map(|(_, group)| group.pods).collect();
        self.pods -= helped.len();
        helped
    }

    pub fn len(&self) -> usize {
        self.pods
    }
}

fn group(pod: &Candidate, refused_by: Set) -> (usize, Set) {
    (Arc::as_ptr(&pod.template) as usize, refused_by)
}

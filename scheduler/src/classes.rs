//! Pods on nodes, counted by template: what a selector cannot tell apart is
//! looked at once, however many there are.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::cache::{NodeIndex, Placed};
use crate::template::Template;

/// A template's address: equal templates are one.
type Id = usize;

/// Where the pods of one template are.
#[derive(Debug)]
pub struct Class {
    pub template: Arc<Template>,
    on: HashMap<NodeIndex, Count>,
}

#[derive(Debug, Default, Clone, Copy)]
pub struct Count {
    pub all: i64,
    /// Those of them that were not asked to end.
    pub live: i64,
}

#[derive(Default)]
pub struct Classes {
    all: HashMap<Id, Class>,
    by_namespace: HashMap<Box<str>, HashSet<Id>>,
    /// Those that want something of the pods around them.
    with_affinity: HashSet<Id>,
}

impl Class {
    pub fn nodes(&self) -> impl Iterator<Item = (NodeIndex, Count)> {
        self.on.iter().map(|(node, count)| (*node, *count))
    }
}

impl Classes {
    pub fn all(&self) -> impl Iterator<Item = &Class> {
        self.all.values()
    }

    pub fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = &Class> {
        let ids = self.by_namespace.get(namespace).into_iter().flatten();
        ids.filter_map(|id| self.all.get(id))
    }

    pub fn with_affinity(&self) -> impl Iterator<Item = &Class> {
        self.with_affinity.iter().filter_map(|id| self.all.get(id))
    }

    pub fn add(&mut self, placed: &Placed) {
        let id = id(&placed.template);
        let class = self.all.entry(id).or_insert_with(|| Class {
            template: placed.template.clone(),
            on: HashMap::new(),
        });
        if class.on.is_empty() {
            let namespace = placed.template.namespace.clone();
            self.by_namespace.entry(namespace).or_default().insert(id);
            if !placed.template.affinity.is_none() {
                self.with_affinity.insert(id);
            }
        }
        let count = class.on.entry(placed.node).or_default();
        count.all += 1;
        count.live += i64::from(!placed.is_ending);
    }

    pub fn remove(&mut self, placed: &Placed) {
        let id = id(&placed.template);
        let Some(class) = self.all.get_mut(&id) else {
            return;
        };
        if let Some(count) = class.on.get_mut(&placed.node) {
            count.all -= 1;
            count.live -= i64::from(!placed.is_ending);
            if count.all == 0 {
                class.on.remove(&placed.node);
            }
        }
        if class.on.is_empty() {
            self.drop_class(id, &placed.template.namespace);
        }
    }

    fn drop_class(&mut self, id: Id, namespace: &str) {
        self.all.remove(&id);
        self.with_affinity.remove(&id);
        if let Some(ids) = self.by_namespace.get_mut(namespace) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_namespace.remove(namespace);
            }
        }
    }
}

fn id(template: &Arc<Template>) -> Id {
    Arc::as_ptr(template) as Id
}

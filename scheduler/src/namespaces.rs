//! The labels of namespaces, by which affinity may select them.

use std::collections::HashMap;

use objects::labels::Labels;

use crate::object::Namespace;

#[derive(Debug, Default)]
pub struct Namespaces {
    labels: HashMap<String, Labels>,
    none: Labels,
}

impl Namespaces {
    /// Takes over what the API says of one; true if its labels are news.
    pub fn set(&mut self, namespace: Namespace) -> bool {
        let name = namespace.metadata.name.unwrap_or_default();
        let labels: Labels = namespace.metadata.labels.unwrap_or_default().into();
        let before = self.labels.insert(name, labels.clone());
        before != Some(labels)
    }

    pub fn remove(&mut self, name: &str) {
        self.labels.remove(name);
    }

    pub fn labels(&self, name: &str) -> &Labels {
        self.labels.get(name).unwrap_or(&self.none)
    }

    pub fn names(&self) -> Vec<String> {
        self.labels.keys().cloned().collect()
    }
}

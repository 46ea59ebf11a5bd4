//! Which kinds are served where.

use std::collections::HashMap;

use kinds::Kind;

/// The served kinds by group, version and plural.
pub struct Resources {
    groups: HashMap<&'static str, Group>,
    all: Vec<&'static Kind>,
}

#[derive(Default)]
struct Group {
    versions: HashMap<&'static str, HashMap<&'static str, &'static Kind>>,
}

impl Resources {
    pub fn new(kinds: &[&'static Kind]) -> Self {
        let mut groups: HashMap<&'static str, Group> = HashMap::new();
        for kind in kinds {
            let group = groups.entry(kind.group).or_default();
            let version = group.versions.entry(kind.version).or_default();
            version.insert(kind.plural, kind);
        }
        Self {
            groups,
            all: kinds.to_vec(),
        }
    }

    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
        let versions = &self.groups.get(group)?.versions;
        versions.get(version)?.get(plural).copied()
    }

    pub fn has_group(&self, group: &str) -> bool {
        self.groups.contains_key(group)
    }

    /// In the order discovery lists them.
    pub fn all(&self) -> &[&'static Kind] {
        &self.all
    }
}

//! The labels of an object of which there are many.

use std::collections::BTreeMap;

/// As few bytes as can be: a map's smallest node is larger than most pods' labels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Labels(Box<[(Box<str>, Box<str>)]>);

impl Labels {
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| **key == *name)?;
        Some(&found.1)
    }
}

impl From<BTreeMap<String, String>> for Labels {
    fn from(labels: BTreeMap<String, String>) -> Self {
        let labels = labels.into_iter();
        Self(
            labels
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_found_by_its_whole_name() {
        let labels = BTreeMap::from([("app".to_owned(), "a".to_owned())]);
        let labels = Labels::from(labels);
        assert_eq!((labels.get("app"), labels.get("ap")), (Some("a"), None));
    }
}

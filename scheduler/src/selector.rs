//! Label selectors, read once and asked often.

use std::collections::BTreeMap;

use apimachinery::selector::{LabelSelector, Operator, Requirement};
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use objects::labels::Labels;

/// Which labels are meant; a selector that is not there means none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Selector(Option<Vec<Requirement>>);

impl Selector {
    /// A selector that cannot be read means none (the API server has validated it).
    pub fn read(selector: Option<&meta::LabelSelector>) -> Self {
        let Some(selector) = selector else {
            return Self(None);
        };
        let read = serde_json::to_value(selector).ok();
        let read = read.and_then(|value| LabelSelector::from_object(&value).ok());
        Self(read.map(|selector| selector.requirements().to_vec()))
    }

    /// Asks for each of these labels.
    pub fn of(labels: &BTreeMap<String, String>) -> Self {
        let requirement = |(key, value): (&String, &String)| Requirement {
            key: key.clone(),
            operator: Operator::In,
            values: vec![value.clone()],
        };
        Self(Some(labels.iter().map(requirement).collect()))
    }

    /// Asks for both.
    pub fn and(self, other: &Self) -> Self {
        let (Some(mut all), Some(others)) = (self.0, &other.0) else {
            return Self(None);
        };
        all.extend(others.iter().cloned());
        Self(Some(all))
    }

    /// Also asks for the value that `labels` has at each of `keys` (KEP-3243).
    pub fn with_keys_of(self, keys: Option<&Vec<String>>, labels: &Labels) -> Self {
        self.with(keys, labels, Operator::In)
    }

    /// Also asks for another value than `labels` has at each of `keys`.
    pub fn without_keys_of(self, keys: Option<&Vec<String>>, labels: &Labels) -> Self {
        self.with(keys, labels, Operator::NotIn)
    }

    fn with(mut self, keys: Option<&Vec<String>>, labels: &Labels, operator: Operator) -> Self {
        let Some(requirements) = &mut self.0 else {
            return self;
        };
        for key in keys.into_iter().flatten() {
            if let Some(value) = labels.get(key) {
                requirements.push(Requirement {
                    key: key.clone(),
                    operator,
                    values: vec![value.to_owned()],
                });
            }
        }
        self
    }

    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.as_ref().is_some_and(|requirements| {
            requirements
                .iter()
                .all(|r| r.matches_value(labels.get(&r.key)))
        })
    }

    pub fn is_everything(&self) -> bool {
        self.0.as_ref().is_some_and(Vec::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(selector: Value) -> Selector {
        Selector::read(Some(&serde_json::from_value(selector).unwrap()))
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        let pairs = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        pairs.collect::<BTreeMap<String, String>>().into()
    }

    #[test]
    fn no_selector_means_none_and_an_empty_one_all() {
        assert!(!Selector::read(None).matches(&labels(&[])));
        assert!(read(json!({})).matches(&labels(&[("a", "b")])));
    }

    #[test]
    fn keys_ask_for_the_value_that_the_pod_itself_has() {
        let own = labels(&[("app", "web"), ("hash", "1")]);
        let keys = vec!["hash".to_owned(), "absent".to_owned()];
        let same = read(json!({ "matchLabels": { "app": "web" } })).with_keys_of(Some(&keys), &own);
        assert!(same.matches(&own));
        assert!(!same.matches(&labels(&[("app", "web"), ("hash", "2")])));
        let other = read(json!({})).without_keys_of(Some(&keys), &own);
        assert!(!other.matches(&own));
        assert!(other.matches(&labels(&[("hash", "2")])));
    }
}

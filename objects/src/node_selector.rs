//! Which nodes a `NodeSelector` means: of a pod's affinity, of a
//! PersistentVolume's, of a StorageClass' topologies.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm,
};

/// A node, as far as selectors look at it.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    pub name: &'a str,
    pub labels: &'a BTreeMap<String, String>,
}

impl Node<'_> {
    /// A pod's `nodeSelector` and its required node affinity, together.
    pub fn is_wanted_by(
        self,
        selector: &BTreeMap<String, String>,
        affinity: Option<&NodeAffinity>,
    ) -> bool {
        let required = affinity.and_then(|affinity| {
            affinity
                .required_during_scheduling_ignored_during_execution
                .as_ref()
        });
        let has = |(key, value): (&String, &String)| self.labels.get(key) == Some(value);
        selector.iter().all(has) && required.is_none_or(|required| self.matches(required))
    }

    /// One term is enough; a selector without terms matches nothing.
    pub fn matches(self, selector: &NodeSelector) -> bool {
        selector
            .node_selector_terms
            .iter()
            .any(|term| self.matches_term(term))
    }

    /// All requirements must hold; a term without any matches nothing.
    pub fn matches_term(self, term: &NodeSelectorTerm) -> bool {
        let expressions = term.match_expressions.as_deref().unwrap_or_default();
        let fields = term.match_fields.as_deref().unwrap_or_default();
        if expressions.is_empty() && fields.is_empty() {
            return false;
        }
        expressions
            .iter()
            .all(|r| holds(r, self.labels.get(&r.key).map(String::as_str)))
            && fields
                .iter()
                .all(|r| r.key == "metadata.name" && holds(r, Some(self.name)))
    }
}

/// The requirement, asked of the value that its key has here, if any.
pub fn holds(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let listed = || value.is_some_and(|value| values.iter().any(|wanted| wanted == value));
    match requirement.operator.as_str() {
        "In" => listed(),
        "NotIn" => !listed(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => numbers(value, values).is_some_and(|(have, limit)| have > limit),
        "Lt" => numbers(value, values).is_some_and(|(have, limit)| have < limit),
        _ => false,
    }
}

fn numbers(value: Option<&str>, values: &[String]) -> Option<(i64, i64)> {
    Some((value?.parse().ok()?, values.first()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn matches(terms: Value) -> bool {
        let labels = BTreeMap::from([
            ("disk".to_owned(), "ssd".to_owned()),
            ("cores".to_owned(), "8".to_owned()),
        ]);
        let node = Node {
            name: "a",
            labels: &labels,
        };
        let selector = json!({ "nodeSelectorTerms": terms });
        node.matches(&serde_json::from_value(selector).unwrap())
    }

    fn requires(key: &str, operator: &str, values: Value) -> bool {
        matches(
            json!([{ "matchExpressions": [{ "key": key, "operator": operator, "values": values }] }]),
        )
    }

    #[test]
    fn each_operator_asks_its_own_question() {
        let asked = [
            ("disk", "In", json!(["hdd", "ssd"]), true),
            ("disk", "In", json!(["hdd"]), false),
            ("disk", "NotIn", json!(["hdd"]), true),
            ("none", "NotIn", json!(["hdd"]), true),
            ("disk", "Exists", json!([]), true),
            ("none", "Exists", json!([]), false),
            ("none", "DoesNotExist", json!([]), true),
            ("disk", "DoesNotExist", json!([]), false),
            ("cores", "Gt", json!(["7"]), true),
            ("cores", "Gt", json!(["8"]), false),
            ("cores", "Lt", json!(["9"]), true),
            ("disk", "Lt", json!(["9"]), false),
            ("cores", "Unheard", json!(["8"]), false),
        ];
        for (key, operator, values, expected) in asked {
            let text = format!("{key} {operator} {values}");
            assert_eq!(requires(key, operator, values), expected, "{text}");
        }
    }

    #[test]
    fn terms_are_alternatives_and_their_requirements_all_count() {
        let ssd = json!({ "key": "disk", "operator": "In", "values": ["ssd"] });
        let few = json!({ "key": "cores", "operator": "Lt", "values": ["4"] });
        assert!(!matches(json!([{ "matchExpressions": [ssd, few] }])));
        assert!(matches(
            json!([{ "matchExpressions": [few] }, { "matchExpressions": [ssd] }])
        ));
    }

    #[test]
    fn fields_ask_for_the_name_and_an_empty_term_for_nothing() {
        let named = |name: &str| json!([{ "matchFields": [{ "key": "metadata.name", "operator": "In", "values": [name] }] }]);
        assert!(matches(named("a")));
        assert!(!matches(named("b")));
        assert!(!matches(json!([{}])));
        assert!(!matches(json!([])));
    }
}

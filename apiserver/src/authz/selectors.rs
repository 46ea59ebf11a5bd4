//! What a request for a collection narrows it to, for those who allow by it.
//!
//! Kubernetes' `AuthorizeWithSelectors` (KEP-4601): a requirement that is not understood is left
//! out, which only makes more of what is asked for, and so is on the safe side.

use apimachinery::meta;
use apimachinery::selector::{FieldSelector, LabelSelector, Operator};
use serde_json::{Value, json};

/// By fields and by labels.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selectors<'a> {
    pub fields: Selector<'a>,
    pub labels: Selector<'a>,
}

/// One of them, as it came.
#[derive(Clone, Copy, Debug, Default)]
pub enum Selector<'a> {
    #[default]
    All,
    /// As a query has it: `spec.nodeName=n1`.
    Text(&'a str),
    /// As a SubjectAccessReview lists it.
    Requirements(&'a [Value]),
}

impl<'a> Selector<'a> {
    /// Of a query; nothing in it is no selector.
    pub fn text(text: Option<&'a str>) -> Self {
        text.filter(|text| !text.is_empty())
            .map_or(Self::All, Self::Text)
    }

    /// Of a review's `fieldSelector` or `labelSelector`.
    pub fn reviewed(selector: &'a Value) -> Self {
        match meta::items(selector, "requirements") {
            [] => Self::text(Some(meta::text(selector, "rawSelector"))),
            requirements => Self::Requirements(requirements),
        }
    }
}

impl Selectors<'_> {
    /// Whether objects with another value of this field are left out.
    pub fn pin(&self, field: &str, value: &str) -> bool {
        match self.fields {
            Selector::All => false,
            Selector::Text(text) => text
                .parse::<FieldSelector>()
                .is_ok_and(|selector| selector.exact(field) == Some(value)),
            Selector::Requirements(all) => all.iter().any(|one| {
                let is_in = meta::text(one, "operator") == "In";
                is_in && meta::text(one, "key") == field && meta::items(one, "values") == [value]
            }),
        }
    }

    /// `resourceAttributes.fieldSelector.requirements` of a review.
    pub fn field_requirements(&self) -> Vec<Value> {
        match self.fields {
            Selector::All => Vec::new(),
            Selector::Text(text) => text.parse().map(of_fields).unwrap_or_default(),
            Selector::Requirements(all) => all.to_vec(),
        }
    }

    /// `resourceAttributes.labelSelector.requirements` of a review.
    pub fn label_requirements(&self) -> Vec<Value> {
        match self.labels {
            Selector::All => Vec::new(),
            Selector::Text(text) => text.parse().map(of_labels).unwrap_or_default(),
            Selector::Requirements(all) => all.to_vec(),
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "what was just parsed")]
fn of_fields(selector: FieldSelector) -> Vec<Value> {
    let terms = selector.terms.iter();
    terms
        .map(|term| {
            let operator = if term.equal { "In" } else { "NotIn" };
            json!({ "key": term.field, "operator": operator, "values": [term.value] })
        })
        .collect()
}

#[expect(clippy::needless_pass_by_value, reason = "what was just parsed")]
fn of_labels(selector: LabelSelector) -> Vec<Value> {
    let requirements = selector.requirements().iter();
    requirements
        .filter_map(|one| {
            let operator = match one.operator {
                Operator::Equals | Operator::In => "In",
                Operator::NotEquals | Operator::NotIn => "NotIn",
                Operator::Exists => "Exists",
                Operator::DoesNotExist => "DoesNotExist",
                // No review can say these.
                Operator::GreaterThan | Operator::LessThan => return None,
            };
            let mut said = json!({ "key": one.key, "operator": operator });
            if !one.values.is_empty() {
                said["values"] = json!(one.values);
            }
            Some(said)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Selectors<'_> {
        Selectors {
            fields: Selector::text(Some(text)),
            ..Selectors::default()
        }
    }

    #[test]
    fn only_an_equal_term_pins_a_field() {
        assert!(fields("spec.nodeName=n1").pin("spec.nodeName", "n1"));
        assert!(fields("a=b,spec.nodeName==n1").pin("spec.nodeName", "n1"));
        for other in [
            "",
            "spec.nodeName=n2",
            "spec.nodeName!=n1",
            "a=n1",
            "a=b\\,spec.nodeName=n1",
        ] {
            assert!(!fields(other).pin("spec.nodeName", "n1"), "{other}");
        }
    }

    #[test]
    fn a_review_pins_a_field_by_one_value_that_it_is_in() {
        let pins = |operator: &str, values: &[&str]| {
            let review = json!({ "requirements": [
                { "key": "spec.nodeName", "operator": operator, "values": values } ] });
            let fields = Selector::reviewed(&review);
            Selectors {
                fields,
                ..Selectors::default()
            }
            .pin("spec.nodeName", "n1")
        };
        assert!(pins("In", &["n1"]));
        assert!(!pins("In", &["n1", "n2"]));
        assert!(!pins("NotIn", &["n1"]));
        let raw = json!({ "rawSelector": "spec.nodeName=n1" });
        let fields = Selector::reviewed(&raw);
        assert!(
            Selectors {
                fields,
                ..Selectors::default()
            }
            .pin("spec.nodeName", "n1")
        );
    }

    #[test]
    fn texts_become_the_requirements_of_a_review() {
        let asked = Selectors {
            fields: Selector::Text("a=1,b!=2"),
            labels: Selector::Text("x=1,y in (2,3),z,!w,n>4"),
        };
        let term = |key: &str, operator: &str, value: &str| json!({ "key": key, "operator": operator, "values": [value] });
        assert_eq!(
            asked.field_requirements(),
            [term("a", "In", "1"), term("b", "NotIn", "2")]
        );
        let labels = asked.label_requirements();
        let of = |key: &str| labels.iter().find(|one| one["key"] == key).cloned();
        assert_eq!(of("x"), Some(term("x", "In", "1")));
        assert_eq!(
            of("y"),
            Some(json!({ "key": "y", "operator": "In", "values": ["2", "3"] }))
        );
        assert_eq!(of("z"), Some(json!({ "key": "z", "operator": "Exists" })));
        assert_eq!(
            of("w"),
            Some(json!({ "key": "w", "operator": "DoesNotExist" }))
        );
        assert_eq!(of("n"), None);
        assert_eq!(
            fields("no operator").field_requirements(),
            Vec::<Value>::new()
        );
    }
}

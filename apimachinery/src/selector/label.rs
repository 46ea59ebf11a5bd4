//! Label selectors: `app=web,tier in (a,b),!old`, and the API's `LabelSelector` object.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

use super::{Error, parser};

/// Which labels an object must have. All requirements must hold; none is everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelSelector {
    /// `None` selects nothing: what a missing `LabelSelector` object means.
    requirements: Option<Vec<Requirement>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    pub key: String,
    pub operator: Operator,
    pub values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// One value, written `key=value`.
    Equals,
    NotEquals,
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

impl Requirement {
    pub fn matches(&self, labels: Option<&Map<String, Value>>) -> bool {
        let value = labels
            .and_then(|labels| labels.get(&self.key))
            .and_then(Value::as_str);
        self.matches_value(value)
    }

    /// Whether a label with this value (`None`: no such label) satisfies it.
    pub fn matches_value(&self, value: Option<&str>) -> bool {
        let listed = || value.is_some_and(|value| self.values.iter().any(|v| v == value));
        match self.operator {
            Operator::Equals | Operator::In => listed(),
            Operator::NotEquals | Operator::NotIn => !listed(),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => self.compare(value, |have, limit| have > limit),
            Operator::LessThan => self.compare(value, |have, limit| have < limit),
        }
    }

    fn compare(&self, value: Option<&str>, holds: fn(i64, i64) -> bool) -> bool {
        let number = |text: &str| text.parse::<i64>().ok();
        let have = value.and_then(number);
        let limit = self.values.first().and_then(|text| number(text));
        have.zip(limit)
            .is_some_and(|(have, limit)| holds(have, limit))
    }
}

impl LabelSelector {
    pub fn everything() -> Self {
        Self::of(Vec::new())
    }

    pub fn nothing() -> Self {
        LabelSelector { requirements: None }
    }

    pub fn of(requirements: Vec<Requirement>) -> Self {
        LabelSelector {
            requirements: Some(requirements),
        }
    }

    /// Every pair must be there: a Service's or ReplicationController's selector.
    pub fn from_map(labels: &Map<String, Value>) -> Self {
        let mut requirements: Vec<Requirement> = labels.iter().map(equals).collect();
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Self::of(requirements)
    }

    /// Reads a `LabelSelector` object; a null one selects nothing, an empty one everything.
    ///
    /// # Errors
    /// An operator Kubernetes does not know.
    pub fn from_object(selector: &Value) -> Result<Self, Error> {
        if selector.is_null() {
            return Ok(Self::nothing());
        }
        let mut requirements: Vec<Requirement> = selector["matchLabels"]
            .as_object()
            .map(|labels| labels.iter().map(equals).collect())
            .unwrap_or_default();
        for expression in selector["matchExpressions"]
            .as_array()
            .into_iter()
            .flatten()
        {
            requirements.push(Requirement::from_expression(expression)?);
        }
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Self::of(requirements))
    }

    pub fn matches(&self, labels: Option<&Map<String, Value>>) -> bool {
        match &self.requirements {
            None => false,
            Some(requirements) => requirements.iter().all(|r| r.matches(labels)),
        }
    }

    /// Whether the labels of an object match.
    pub fn matches_object(&self, object: &Value) -> bool {
        self.matches(crate::meta::labels(object))
    }

    pub fn is_everything(&self) -> bool {
        self.requirements.as_ref().is_some_and(Vec::is_empty)
    }

    pub fn requirements(&self) -> &[Requirement] {
        self.requirements.as_deref().unwrap_or_default()
    }
}

fn equals((key, value): (&String, &Value)) -> Requirement {
    Requirement {
        key: key.clone(),
        operator: Operator::Equals,
        values: vec![value.as_str().unwrap_or_default().to_owned()],
    }
}

impl Requirement {
    /// Reads one of `matchExpressions`.
    ///
    /// # Errors
    /// An operator Kubernetes does not know.
    pub fn from_expression(expression: &Value) -> Result<Self, Error> {
        let operator = match crate::meta::text(expression, "operator") {
            "In" => Operator::In,
            "NotIn" => Operator::NotIn,
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            "Gt" => Operator::GreaterThan,
            "Lt" => Operator::LessThan,
            other => {
                return Err(Error(format!(
                    "{other:?} is not a valid label selector operator"
                )));
            }
        };
        let mut values: Vec<String> = crate::meta::items(expression, "values")
            .iter()
            .filter_map(|value| value.as_str().map(str::to_owned))
            .collect();
        values.sort();
        Ok(Requirement {
            key: crate::meta::text(expression, "key").to_owned(),
            operator,
            values,
        })
    }
}

impl FromStr for LabelSelector {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parser::parse(text).map(Self::of)
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, requirement) in self.requirements().iter().enumerate() {
            if n > 0 {
                f.write_str(",")?;
            }
            write!(f, "{requirement}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        let values = self.values.join(",");
        match self.operator {
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn matches(selector: &str, labels: &Value) -> bool {
        let selector: LabelSelector = selector.parse().expect(selector);
        selector.matches(labels.as_object())
    }

    #[test]
    fn every_requirement_must_hold() {
        let labels = json!({"app": "web", "tier": "front", "n": "5"});
        for yes in [
            "",
            "app=web",
            "app==web,tier!=back",
            "app in (web,api)",
            "!old",
            "n>4",
            "x!=1",
            "x notin (a)",
        ] {
            assert!(matches(yes, &labels), "{yes}");
        }
        for no in [
            "app=api",
            "app,old",
            "tier notin (front)",
            "!app",
            "n<5",
            "x in (a)",
        ] {
            assert!(!matches(no, &labels), "{no}");
        }
    }

    #[test]
    fn a_missing_selector_object_selects_nothing_and_an_empty_one_everything() {
        let nothing = LabelSelector::from_object(&Value::Null).expect("null");
        let everything = LabelSelector::from_object(&json!({})).expect("empty");
        assert!(!nothing.matches(None) && everything.matches(None));
    }

    #[test]
    fn an_object_prints_as_the_scale_subresource_shows_it() {
        let selector = json!({"matchLabels": {"b": "2", "a": "1"},
            "matchExpressions": [{"key": "c", "operator": "In", "values": ["y", "x"]}]});
        let selector = LabelSelector::from_object(&selector).expect("selector");
        assert_eq!(selector.to_string(), "a=1,b=2,c in (x,y)");
    }
}

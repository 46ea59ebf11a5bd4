//! Label and field selectors over stored bytes.

use std::borrow::Cow;

use apimachinery::Status;
use apimachinery::selector::{FieldSelector, FieldTerm, LabelSelector};
use memchr::memmem::Finder;
use serde_json::Value;

use super::versions;
use crate::bytes_json;
use crate::query::Query;
use crate::served::Served;

/// Labels that are the path of a text of the stored object, and never a default:
/// a selector of these need not parse the whole.
const TEXT_LABELS: &[(&str, &str)] = &[
    ("pods", "spec.nodeName"),
    ("pods", "spec.restartPolicy"),
    ("pods", "spec.schedulerName"),
    ("pods", "status.phase"),
    ("secrets", "type"),
    ("namespaces", "status.phase"),
];

/// Which objects of a kind are wanted.
#[derive(Clone)]
pub struct Selector {
    kind: Served,
    labels: LabelSelector,
    fields: FieldSelector,
    /// Texts, in quotes, that every object of the selection has somewhere: most
    /// objects of a large cluster are told apart by looking for these bytes.
    needles: Vec<Finder<'static>>,
    /// Where fields must not have certain values, and nothing else is asked of
    /// them: those values. An object that has them nowhere is of the selection.
    strangers: Option<Vec<Finder<'static>>>,
}

impl Selector {
    /// # Errors
    /// 400 when a selector does not parse or names a field that is not selectable.
    pub fn read(kind: &Served, query: &Query) -> Result<Self, Status> {
        let labels = match query.text("labelSelector") {
            None => LabelSelector::everything(),
            Some(text) => text.parse().map_err(bad)?,
        };
        let fields: FieldSelector = match query.text("fieldSelector") {
            None => FieldSelector::default(),
            Some(text) => text.parse().map_err(bad)?,
        };
        for term in &fields.terms {
            if kind.field(&Value::Null, &term.field).is_none() {
                return Err(unknown_field(kind, &term.field));
            }
        }
        let needles = needles(kind, &fields);
        let strangers = strangers(kind, &fields);
        Ok(Self {
            kind: kind.clone(),
            labels,
            fields,
            needles,
            strangers,
        })
    }

    /// Narrowed to the object that the path names: the request was authorized for
    /// that one alone.
    ///
    /// # Errors
    /// 400 when the field selector means others.
    pub fn named(mut self, name: &str) -> Result<Self, Status> {
        const FIELD: &str = "metadata.name";
        if self.fields.is_everything() {
            self.fields.terms.push(FieldTerm {
                field: FIELD.into(),
                value: name.into(),
                equal: true,
            });
            return Ok(self);
        }
        if self.name() == Some(name) {
            return Ok(self);
        }
        Err(Status::bad_request(
            "fieldSelector metadata.name doesn't match requested name",
        ))
    }

    pub fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    /// The one name that can match, if the selector pins it.
    pub fn name(&self) -> Option<&str> {
        self.fields.exact("metadata.name")
    }

    pub fn namespace(&self) -> Option<&str> {
        self.fields.exact("metadata.namespace")
    }

    /// Whether the stored object is wanted.
    pub fn matches(&self, stored: &[u8]) -> bool {
        self.needles
            .iter()
            .all(|needle| needle.find(stored).is_some())
            && self.fields_match(stored)
            && (self.labels.is_everything()
                || self.labels.matches(bytes_json::labels(stored).as_ref()))
    }

    fn fields_match(&self, stored: &[u8]) -> bool {
        if self.fields.is_everything() {
            return true;
        }
        if let Some(strangers) = &self.strangers
            && strangers.iter().all(|s| s.find(stored).is_none())
        {
            return true;
        }
        let mut terms = self.fields.terms.iter();
        if terms.all(|term| is_path(&self.kind, &term.field)) {
            return self.fields.matches(|label| {
                let path: Vec<&str> = label.split('.').collect();
                Cow::Owned::<str>(bytes_json::scalar_at(stored, &path))
            });
        }
        let Ok(object) = versions::value(&self.kind, stored) else {
            return false;
        };
        self.fields.matches(|label| {
            Cow::Owned::<str>(
                self.kind
                    .field(&object, label)
                    .unwrap_or_default()
                    .into_owned(),
            )
        })
    }
}

/// The values that fields must have, where JSON writes them as they are.
fn needles(kind: &Served, fields: &FieldSelector) -> Vec<Finder<'static>> {
    let pinned = fields.terms.iter();
    let pinned = pinned.filter(|term| term.equal && is_written_as_is(kind, term));
    pinned.map(finder).collect()
}

/// The values that fields must not have, if that is all that is asked of fields,
/// and JSON writes them as they are.
fn strangers(kind: &Served, fields: &FieldSelector) -> Option<Vec<Finder<'static>>> {
    let mut terms = fields.terms.iter();
    let is_all = terms.all(|term| !term.equal && is_written_as_is(kind, term));
    is_all.then(|| fields.terms.iter().map(finder).collect())
}

fn finder(term: &FieldTerm) -> Finder<'static> {
    Finder::new(format!("\"{}\"", term.value).as_bytes()).into_owned()
}

fn is_written_as_is(kind: &Served, term: &FieldTerm) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:".contains(&b);
    let label = term.field.as_str();
    !term.value.is_empty() && term.value.bytes().all(is_plain) && is_path(kind, label)
}

/// Whether a label is the path of a text of the stored object.
fn is_path(kind: &Served, label: &str) -> bool {
    let is_known = || TEXT_LABELS.contains(&(kind.plural(), label));
    label.starts_with("metadata.") || matches!(kind, Served::BuiltIn(_)) && is_known()
}

fn bad(error: apimachinery::selector::Error) -> Status {
    Status::bad_request(error.0)
}

fn unknown_field(kind: &Served, field: &str) -> Status {
    if kind.has_field_labels() {
        return Status::bad_request(format!("field label not supported: {field}"));
    }
    let known = if kind.is_namespaced() {
        "\"metadata.name\", \"metadata.namespace\""
    } else {
        "\"metadata.name\""
    };
    Status::bad_request(format!(
        "{field:?} is not a known field selector: only {known}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selects(selector: &str, pod: &str) -> bool {
        selects_of(("", "v1", "pods"), selector, pod)
    }

    fn selects_of(kind: (&str, &str, &str), selector: &str, object: &str) -> bool {
        let kind = kinds::find(kind.0, kind.1, kind.2).unwrap();
        let query = Query::parse(&format!("fieldSelector={selector}"));
        let selector = Selector::read(&Served::BuiltIn(kind), &query).unwrap();
        selector.matches(object.as_bytes())
    }

    #[test]
    fn a_field_that_is_not_there_has_its_default() {
        let bare = r#"{"metadata":{"name":"x"}}"#;
        assert!(selects("spec.hostNetwork=false", bare));
        assert!(!selects("spec.hostNetwork=true", bare));
        let nodes = ("", "v1", "nodes");
        assert!(selects_of(nodes, "spec.unschedulable=false", bare));
        assert!(!selects_of(nodes, "spec.unschedulable!=false", bare));
    }

    #[test]
    fn labels_that_are_no_paths_are_read_where_the_field_is() {
        let jobs = ("batch", "v1", "jobs");
        let job = r#"{"metadata":{"name":"j"},"status":{"succeeded":2}}"#;
        assert!(selects_of(jobs, "status.successful=2", job));
        assert!(!selects_of(jobs, "status.successful=0", job));
        let space = r#"{"metadata":{"name":"a"}}"#;
        assert!(selects_of(("", "v1", "namespaces"), "name=a", space));
        assert!(!selects_of(("", "v1", "namespaces"), "name=b", space));
    }

    #[test]
    fn a_field_must_not_have_a_value_that_others_may_have() {
        let unfinished = "status.phase!=Succeeded,status.phase!=Failed";
        let pod = |name: &str, phase: &str| {
            format!(r#"{{"metadata":{{"name":"{name}"}},"status":{{"phase":"{phase}"}}}}"#)
        };
        assert!(selects(unfinished, &pod("p", "Running")));
        assert!(selects(unfinished, &pod("Failed", "Running")));
        assert!(selects(unfinished, r#"{"metadata":{"name":"p"}}"#));
        assert!(!selects(unfinished, &pod("p", "Failed")));
        assert!(!selects(unfinished, &pod("p", "Succeeded")));
    }

    #[test]
    fn a_field_must_have_a_value_in_its_own_place() {
        let pod = r#"{"metadata":{"name":"n1"},"spec":{"nodeName":"n2","tolerations":[]}}"#;
        assert!(selects("spec.nodeName=n2", pod));
        assert!(!selects("spec.nodeName=n1", pod));
        assert!(selects("spec.nodeName!=n1", pod));
    }
}

//! Label and field selectors over stored bytes.

use std::borrow::Cow;

use apimachinery::Status;
use apimachinery::selector::{FieldSelector, LabelSelector};
use memchr::memmem::Finder;
use serde_json::Value;

use super::versions;
use crate::bytes_json;
use crate::query::Query;
use crate::served::Served;

/// Kinds whose field labels are paths of the stored object, so that a selector
/// need not parse the whole.
const PATH_LABELS: &[&str] = &[
    "pods",
    "nodes",
    "secrets",
    "namespaces",
    "replicasets",
    "jobs",
];

/// Labels whose value is a text of the stored object, and never a default.
const TEXT_LABELS: &[(&str, &str)] = &[("pods", "spec.nodeName")];

/// Which objects of a kind are wanted.
#[derive(Clone)]
pub struct Selector {
    kind: Served,
    labels: LabelSelector,
    fields: FieldSelector,
    /// Texts, in quotes, that every object of the selection has somewhere: most
    /// objects of a large cluster are told apart by looking for these bytes.
    needles: Vec<Finder<'static>>,
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
        Ok(Self {
            kind: kind.clone(),
            labels,
            fields,
            needles,
        })
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

    fn has_path_labels(&self) -> bool {
        matches!(self.kind, Served::BuiltIn(kind) if PATH_LABELS.contains(&kind.plural))
    }

    fn fields_match(&self, stored: &[u8]) -> bool {
        if self.fields.is_everything() {
            return true;
        }
        let simple = |label: &str| label.starts_with("metadata.") || self.has_path_labels();
        if self.fields.terms.iter().all(|term| simple(&term.field)) {
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
    let is_plain = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(&b))
    };
    let is_text = |label: &str| {
        label.starts_with("metadata.") || TEXT_LABELS.contains(&(kind.plural(), label))
    };
    let pinned = fields
        .terms
        .iter()
        .filter(|t| t.equal && is_plain(&t.value) && is_text(&t.field));
    pinned
        .map(|t| Finder::new(format!("\"{}\"", t.value).as_bytes()).into_owned())
        .collect()
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

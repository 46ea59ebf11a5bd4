//! A kind that requests may name: one built in, or one that a
//! CustomResourceDefinition brought.
//!
//! All handlers see kinds through [`Served`] only; what it is made of differs here
//! and nowhere else. A handle is cheap to clone and keeps the rules that it was
//! given, even when its definition changes meanwhile.

use std::borrow::Cow;
use std::sync::Arc;

use apimachinery::{field, meta, status};
use jiff::Timestamp;
use kinds::scale::ScalePaths;
use kinds::{Column, Conversion, Kind, Subresource, Verbs};
use schema::{Node, Problem};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::custom::Family;

#[derive(Clone)]
pub enum Served {
    BuiltIn(&'static Kind),
    Custom(Arc<Custom>),
}

/// One version of a kind that is not built in.
pub struct Custom {
    pub names: Names,
    pub is_namespaced: bool,
    pub verbs: Verbs,
    /// Below what its objects are stored, in whichever version.
    pub prefix: String,
    pub rules: Box<dyn Rules>,
    pub version: Arc<custom::Version>,
    pub family: Arc<Family>,
}

/// What a kind is called.
#[derive(Clone, Debug, Default)]
pub struct Names {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub list_kind: String,
    pub plural: String,
    pub singular: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
}

/// What a custom kind's definition says of its objects. As with the functions of
/// [`Kind`]: no I/O, no clock, no panic.
pub trait Rules: Send + Sync {
    /// For patches and field ownership.
    fn node(&self) -> &Node;
    /// The definition's schema as OpenAPI v3 has it.
    fn openapi(&self) -> &Value;
    fn subresources(&self) -> Vec<Subresource<'_>>;
    fn columns(&self) -> Vec<Column<'_>>;
    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value>;
    /// The value of a selectable field besides name and namespace.
    fn field<'a>(&self, object: &'a Value, label: &str) -> Option<Cow<'a, str>>;
    fn scale(&self) -> Option<ScalePaths<'_>>;

    /// Drops what the schema does not know, and tells of it.
    fn fit(&self, object: &mut Value) -> Vec<Problem>;
    fn default(&self, object: &mut Value);
    fn prepare_create(&self, object: &mut Value);
    fn prepare_update(&self, new: &mut Value, old: &Value);
    fn prepare_status_update(&self, new: &mut Value, old: &Value);
    fn check_create(&self, object: &Value) -> Vec<field::Error>;
    fn check_update(&self, new: &Value, old: &Value) -> Vec<field::Error>;
    fn check_status_update(&self, new: &Value, old: &Value) -> Vec<field::Error>;
}

impl Served {
    pub fn is_built_in(&self) -> bool {
        matches!(self, Self::BuiltIn(_))
    }

    pub fn group(&self) -> &str {
        match self {
            Self::BuiltIn(kind) => kind.group,
            Self::Custom(custom) => &custom.names.group,
        }
    }

    /// The group that refusals name.
    pub fn error_group(&self) -> &str {
        match self {
            Self::BuiltIn(kind) => kind.error_group(),
            Self::Custom(custom) => &custom.names.group,
        }
    }

    pub fn version(&self) -> &str {
        match self {
            Self::BuiltIn(kind) => kind.version,
            Self::Custom(custom) => &custom.names.version,
        }
    }

    pub fn kind(&self) -> &str {
        match self {
            Self::BuiltIn(kind) => kind.kind,
            Self::Custom(custom) => &custom.names.kind,
        }
    }

    pub fn list_kind(&self) -> &str {
        match self {
            Self::BuiltIn(kind) => kind.list_kind,
            Self::Custom(custom) => &custom.names.list_kind,
        }
    }

    pub fn plural(&self) -> &str {
        match self {
            Self::BuiltIn(kind) => kind.plural,
            Self::Custom(custom) => &custom.names.plural,
        }
    }

    pub fn singular(&self) -> &str {
        match self {
            Self::BuiltIn(kind) => kind.singular,
            Self::Custom(custom) => &custom.names.singular,
        }
    }

    pub fn short_names(&self) -> Vec<&str> {
        match self {
            Self::BuiltIn(kind) => kind.short_names.to_vec(),
            Self::Custom(custom) => texts(&custom.names.short_names),
        }
    }

    pub fn categories(&self) -> Vec<&str> {
        match self {
            Self::BuiltIn(kind) => kind.categories.to_vec(),
            Self::Custom(custom) => texts(&custom.names.categories),
        }
    }

    pub fn verbs(&self) -> Verbs {
        match self {
            Self::BuiltIn(kind) => kind.verbs,
            Self::Custom(custom) => custom.verbs,
        }
    }

    pub fn is_namespaced(&self) -> bool {
        match self {
            Self::BuiltIn(kind) => kind.is_namespaced(),
            Self::Custom(custom) => custom.is_namespaced,
        }
    }

    /// `apps/v1`, or `v1`.
    pub fn api_version(&self) -> Cow<'static, str> {
        match self {
            Self::BuiltIn(kind) => kind.api_version(),
            Self::Custom(custom) => {
                format!("{}/{}", custom.names.group, custom.names.version).into()
            }
        }
    }

    pub fn resource(&self) -> status::Resource<'_> {
        status::Resource::new(self.group(), self.plural())
    }

    /// Whether this is the built-in kind of that group and plural.
    pub fn is(&self, group: &str, plural: &str) -> bool {
        matches!(self, Self::BuiltIn(kind) if kind.group == group && kind.plural == plural)
    }

    /// Below what the objects are stored; `None` for kinds that are not.
    pub fn prefix(&self) -> Option<&str> {
        match self {
            Self::BuiltIn(kind) => kind.prefix(),
            Self::Custom(custom) => Some(&custom.prefix),
        }
    }

    pub fn conversion(&self) -> Option<&'static Conversion> {
        match self {
            Self::BuiltIn(kind) => kind.conversion(),
            Self::Custom(_) => None,
        }
    }

    pub fn subresources(&self) -> Vec<Subresource<'_>> {
        match self {
            Self::BuiltIn(kind) => kind.subresources.to_vec(),
            Self::Custom(custom) => custom.rules.subresources(),
        }
    }

    pub fn subresource(&self, name: &str) -> Option<Subresource<'_>> {
        match self {
            Self::BuiltIn(kind) => kind.subresource(name).copied(),
            Self::Custom(custom) => {
                let all = custom.rules.subresources();
                all.into_iter().find(|sub| sub.name == name)
            }
        }
    }

    /// PUT to a name that does not exist creates it.
    pub fn create_on_update(&self) -> bool {
        matches!(self, Self::BuiltIn(kind) if kind.create_on_update)
    }

    /// PUT must name the resourceVersion it replaces.
    pub fn update_needs_version(&self) -> bool {
        match self {
            Self::BuiltIn(kind) => kind.update_needs_version,
            Self::Custom(_) => true,
        }
    }

    pub fn grace_seconds(&self, object: &Value, requested: Option<i64>) -> Option<i64> {
        match self {
            Self::BuiltIn(kind) => kind.grace_seconds.map(|grace| grace(object, requested)),
            Self::Custom(_) => None,
        }
    }

    pub fn scale(&self) -> Option<ScalePaths<'_>> {
        match self {
            Self::BuiltIn(kind) => kind.scale,
            Self::Custom(custom) => custom.rules.scale(),
        }
    }

    pub fn columns(&self) -> Vec<Column<'_>> {
        match self {
            Self::BuiltIn(kind) => kind.columns.to_vec(),
            Self::Custom(custom) => custom.rules.columns(),
        }
    }

    pub fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        match self {
            Self::BuiltIn(kind) => (kind.row)(object, now),
            Self::Custom(custom) => custom.rules.row(object, now),
        }
    }

    /// The value of a selectable field; `None` if it is not selectable.
    pub fn field<'a>(&self, object: &'a Value, label: &str) -> Option<Cow<'a, str>> {
        match (self, label) {
            (Self::BuiltIn(kind), _) => kind.field(object, label),
            (Self::Custom(_), "metadata.name") => Some(meta::name(object).into()),
            (Self::Custom(custom), "metadata.namespace") if custom.is_namespaced => {
                Some(meta::namespace(object).into())
            }
            (Self::Custom(custom), _) => custom.rules.field(object, label),
        }
    }

    /// What clients of this version are warned of.
    pub fn deprecation(&self) -> Option<&str> {
        match self {
            Self::BuiltIn(kind) => kind.deprecation,
            Self::Custom(custom) => custom.version.deprecation.as_deref(),
        }
    }

    /// What the client is warned of who creates an object, or changes it from `old`.
    pub fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        match self {
            Self::BuiltIn(kind) => (kind.warnings)(new, old),
            Self::Custom(_) => Vec::new(),
        }
    }

    /// Nothing comes new: the definition is being deleted.
    pub fn is_ending(&self) -> bool {
        match self {
            Self::BuiltIn(_) => false,
            Self::Custom(custom) => custom.family.definition.stage == custom::Stage::Terminating,
        }
    }

    /// When the kind is no more what it is now; built-in ones stay.
    pub fn over(&self) -> Option<&CancellationToken> {
        match self {
            Self::BuiltIn(_) => None,
            Self::Custom(custom) => Some(&custom.family.over),
        }
    }

    pub fn is_custom(&self) -> bool {
        matches!(self, Self::Custom(_))
    }

    /// The schema of a kind that is not built in, as OpenAPI v3 has it.
    pub fn openapi(&self) -> Option<&Value> {
        match self {
            Self::BuiltIn(_) => None,
            Self::Custom(custom) => Some(custom.rules.openapi()),
        }
    }

    /// Whether fields besides name and namespace are selectable.
    pub fn has_field_labels(&self) -> bool {
        match self {
            Self::BuiltIn(kind) => !kind.field_labels.is_empty(),
            Self::Custom(_) => true,
        }
    }
}

/// The steps of a write.
impl Served {
    pub fn node(&self) -> Option<&Node> {
        match self {
            Self::BuiltIn(kind) => schema::of(kind.group, kind.version, kind.kind),
            Self::Custom(custom) => Some(custom.rules.node()),
        }
    }

    /// Fits an object to the schema of the kind; see [`schema::decode`].
    pub fn fit(&self, object: &mut Value) -> Vec<Problem> {
        match self {
            Self::BuiltIn(_) => self
                .node()
                .map_or_else(Vec::new, |node| schema::decode(node, object)),
            Self::Custom(custom) => custom.rules.fit(object),
        }
    }

    pub fn default(&self, object: &mut Value) {
        match self {
            Self::BuiltIn(kind) => (kind.default)(object),
            Self::Custom(custom) => custom.rules.default(object),
        }
    }

    pub fn prepare_create(&self, object: &mut Value) {
        match self {
            Self::BuiltIn(kind) => (kind.prepare_create)(object),
            Self::Custom(custom) => custom.rules.prepare_create(object),
        }
    }

    pub fn prepare_update(&self, new: &mut Value, old: &Value) {
        match self {
            Self::BuiltIn(kind) => (kind.prepare_update)(new, old),
            Self::Custom(custom) => custom.rules.prepare_update(new, old),
        }
    }

    pub fn prepare_status_update(&self, new: &mut Value, old: &Value) {
        match self {
            Self::BuiltIn(kind) => (kind.prepare_status_update)(new, old),
            Self::Custom(custom) => custom.rules.prepare_status_update(new, old),
        }
    }

    pub fn check_create(&self, object: &Value) -> Vec<field::Error> {
        match self {
            Self::BuiltIn(kind) => kind.check_create(object),
            Self::Custom(custom) => custom.rules.check_create(object),
        }
    }

    pub fn check_update(&self, new: &Value, old: &Value) -> Vec<field::Error> {
        match self {
            Self::BuiltIn(kind) => kind.check_update(new, old),
            Self::Custom(custom) => custom.rules.check_update(new, old),
        }
    }

    pub fn check_status_update(&self, new: &Value, old: &Value) -> Vec<field::Error> {
        match self {
            Self::BuiltIn(kind) => kind.check_status_update(new, old),
            Self::Custom(custom) => custom.rules.check_status_update(new, old),
        }
    }
}

fn texts(all: &[String]) -> Vec<&str> {
    all.iter().map(String::as_str).collect()
}

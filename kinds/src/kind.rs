//! What the API server must know about one kind: one constant a kind.

use std::borrow::Cow;

use apimachinery::{field, gvk::GroupVersionKind, meta, names};
use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{self, Column};
use crate::errors::Errors;
use crate::node::Node;
use crate::object_meta;
use crate::scale::ScalePaths;

/// A built-in kind: its names and the rules of its objects.
///
/// Objects given to the functions were checked against the kind's schema before: fields
/// may be missing, but are never of a wrong type.
pub struct Kind {
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub list_kind: &'static str,
    pub plural: &'static str,
    pub singular: &'static str,
    pub short_names: &'static [&'static str],
    pub categories: &'static [&'static str],
    pub scope: Scope,
    pub verbs: Verbs,
    pub subresources: &'static [Subresource<'static>],
    pub storage: Storage,
    /// PUT to a name that does not exist creates it.
    pub create_on_update: bool,
    /// PUT must name the resourceVersion it replaces.
    pub update_needs_version: bool,

    /// Which names its objects may have.
    pub name_rule: names::Rule,
    /// Fills in what was left out.
    pub default: fn(&mut Value),
    /// On create, after defaulting: drop status, set generation.
    pub prepare_create: fn(&mut Value),
    /// On update, after defaulting: keep the old status, bump generation.
    pub prepare_update: fn(new: &mut Value, old: &Value),
    /// On update of `/status`: keep everything but status.
    pub prepare_status_update: fn(new: &mut Value, old: &Value),
    /// Mistakes in the object, metadata aside.
    pub validate: fn(&Node, &mut Errors),
    /// Mistakes in changing `old` to `new`, metadata aside; repeats `validate` where
    /// Kubernetes does.
    pub validate_update: fn(new: &Node, old: &Node, &mut Errors),
    pub validate_status_update: fn(new: &Node, old: &Node, &mut Errors),
    /// What `kubectl get` shows after NAME is part of these too.
    pub columns: &'static [Column<'static>],
    pub row: fn(&Value, now: Timestamp) -> Vec<Value>,
    /// Selectable fields besides `metadata.name` and `metadata.namespace`.
    pub field_labels: &'static [FieldLabel],
    /// For kinds that are deleted in two steps: the seconds between them (0: at once).
    pub grace_seconds: Option<fn(&Value, requested: Option<i64>) -> i64>,
    pub scale: Option<ScalePaths<'static>>,
    /// What a client is warned of who creates the object, or changes it from the old one.
    pub warnings: fn(new: &Value, old: Option<&Value>) -> Vec<String>,
    /// What every client of the kind is warned of.
    pub deprecation: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Namespaced,
    Cluster,
}

/// The verbs discovery shows, sorted.
pub type Verbs = &'static [&'static str];

pub const ALL_VERBS: Verbs = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];
pub const CREATE_ONLY: Verbs = &["create"];
pub const GET_PATCH_UPDATE: Verbs = &["get", "patch", "update"];
pub const CONNECT_VERBS: Verbs = &["create", "delete", "get", "patch", "update"];

/// `/<name>` below an object.
#[derive(Clone, Copy, Debug)]
pub struct Subresource<'a> {
    pub name: &'a str,
    /// The group, version and kind of what is served there.
    pub group: &'a str,
    pub version: &'a str,
    pub kind: &'a str,
    pub verbs: Verbs,
}

impl<'a> Subresource<'a> {
    pub const fn new(
        name: &'a str,
        (group, version, kind): (&'a str, &'a str, &'a str),
        verbs: Verbs,
    ) -> Self {
        Subresource {
            name,
            group,
            version,
            kind,
            verbs,
        }
    }

    pub const fn scale() -> Self {
        Self::new("scale", ("autoscaling", "v1", "Scale"), GET_PATCH_UPDATE)
    }

    /// `/status` of a kind.
    pub const fn status(of: (&'a str, &'a str, &'a str)) -> Self {
        Self::new("status", of, GET_PATCH_UPDATE)
    }
}

/// Where the kind's objects are.
pub enum Storage {
    /// Stored as they are, below `prefix`.
    Stored { prefix: &'static str },
    /// Stored as objects of another version or group of the same thing.
    As(&'static Conversion),
    /// Answered, not stored: reviews, bindings.
    Virtual,
}

/// Between a kind and the one that is stored.
pub struct Conversion {
    pub stored: &'static Kind,
    /// Both set `apiVersion` and `kind` too.
    pub to_stored: fn(&mut Value),
    pub from_stored: fn(&mut Value),
}

/// A field that `fieldSelector` may name.
pub struct FieldLabel {
    pub label: &'static str,
    pub value: for<'a> fn(&'a Value) -> Cow<'a, str>,
}

impl FieldLabel {
    /// A label whose value is the field of the same name.
    pub const fn new(label: &'static str, value: for<'a> fn(&'a Value) -> Cow<'a, str>) -> Self {
        FieldLabel { label, value }
    }
}

/// `text_field!("spec.nodeName")`: a label that is the dotted path of a text.
macro_rules! text_field {
    ($path:literal) => {
        $crate::kind::FieldLabel::new($path, |object| {
            apimachinery::meta::text(object, $path).into()
        })
    };
}

/// As `text_field!`, for booleans and numbers; what is absent reads as `$absent`.
macro_rules! plain_field {
    ($path:literal, $absent:literal) => {
        $crate::kind::FieldLabel::new($path, |object| {
            apimachinery::meta::get(object, $path).map_or($absent.into(), |value| {
                $crate::text_cells::plain(value).into()
            })
        })
    };
}

pub(crate) use {plain_field, text_field};

fn nothing(_: &mut Value) {}

fn nothing_to_keep(_: &mut Value, _: &Value) {}

fn no_errors(_: &Node, _: &mut Errors) {}

fn no_update_errors(_: &Node, _: &Node, _: &mut Errors) {}

fn no_warnings(_: &Value, _: Option<&Value>) -> Vec<String> {
    Vec::new()
}

impl Kind {
    /// A namespaced kind with every verb and no rules: what each kind's constant starts from.
    pub const BASE: Kind = Kind {
        group: "",
        version: "v1",
        kind: "",
        list_kind: "",
        plural: "",
        singular: "",
        short_names: &[],
        categories: &[],
        scope: Scope::Namespaced,
        verbs: ALL_VERBS,
        subresources: &[],
        storage: Storage::Virtual,
        create_on_update: false,
        update_needs_version: false,
        name_rule: names::dns_subdomain,
        default: nothing,
        prepare_create: nothing,
        prepare_update: nothing_to_keep,
        prepare_status_update: crate::prepare::only_status,
        validate: no_errors,
        validate_update: no_update_errors,
        validate_status_update: no_update_errors,
        columns: columns::NAME_AND_AGE,
        row: columns::name_and_age,
        field_labels: &[],
        grace_seconds: None,
        scale: None,
        warnings: no_warnings,
        deprecation: None,
    };

    /// A kind that is asked, not stored: create only.
    pub const REVIEW: Kind = Kind {
        verbs: CREATE_ONLY,
        scope: Scope::Cluster,
        name_rule: any_name,
        default: answers_have_metadata,
        ..Kind::BASE
    };

    pub fn is_namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }

    /// `apps/v1`, or `v1`.
    pub fn api_version(&self) -> Cow<'static, str> {
        if self.group.is_empty() {
            return Cow::Borrowed(self.version);
        }
        Cow::Owned(format!("{}/{}", self.group, self.version))
    }

    /// The group that refusals name: Kubernetes names the first that a kind was ever in.
    pub fn error_group(&self) -> &'static str {
        match (self.group, self.kind) {
            ("networking.k8s.io", "Ingress" | "NetworkPolicy") => "extensions",
            ("events.k8s.io", "Event") => "",
            (group, _) => group,
        }
    }

    pub fn gvk(&self) -> GroupVersionKind {
        GroupVersionKind::new(self.group, self.version, self.kind)
    }

    pub fn subresource(&self, name: &str) -> Option<&Subresource<'static>> {
        self.subresources.iter().find(|sub| sub.name == name)
    }

    pub fn has_status(&self) -> bool {
        self.subresource("status").is_some()
    }

    /// Below what the objects are stored; `None` for kinds that are not.
    pub fn prefix(&self) -> Option<&'static str> {
        match &self.storage {
            Storage::Stored { prefix } => Some(prefix),
            Storage::As(conversion) => conversion.stored.prefix(),
            Storage::Virtual => None,
        }
    }

    pub fn conversion(&self) -> Option<&'static Conversion> {
        match &self.storage {
            Storage::As(conversion) => Some(conversion),
            _ => None,
        }
    }

    /// The value of a selectable field; `None` if it is not selectable.
    pub fn field<'a>(&self, object: &'a Value, label: &str) -> Option<Cow<'a, str>> {
        match label {
            "metadata.name" => Some(meta::name(object).into()),
            "metadata.namespace" if self.is_namespaced() => Some(meta::namespace(object).into()),
            _ => {
                let known = self
                    .field_labels
                    .iter()
                    .find(|known| known.label == label)?;
                Some((known.value)(object))
            }
        }
    }

    /// Everything wrong with an object about to be created. A question that is not stored
    /// needs no name.
    pub fn check_create(&self, object: &Value) -> Vec<field::Error> {
        let object = Node::root(object);
        let mut errors = Errors::default();
        if !matches!(self.storage, Storage::Virtual) {
            let metadata = object.at("metadata");
            object_meta::validate(&metadata, self.is_namespaced(), self.name_rule, &mut errors);
        }
        (self.validate)(&object, &mut errors);
        errors.0
    }

    /// Everything wrong with replacing `old` by `new`.
    pub fn check_update(&self, new: &Value, old: &Value) -> Vec<field::Error> {
        changes(new, old, self.validate_update)
    }

    pub fn check_status_update(&self, new: &Value, old: &Value) -> Vec<field::Error> {
        changes(new, old, self.validate_status_update)
    }
}

fn changes(new: &Value, old: &Value, rules: fn(&Node, &Node, &mut Errors)) -> Vec<field::Error> {
    let (new, old) = (Node::root(new), Node::root(old));
    let mut errors = Errors::default();
    object_meta::validate_update(&new.at("metadata"), &old.at("metadata"), &mut errors);
    // Kubernetes looks twice, as any kind's and as this kind's, and tells twice.
    errors.0.extend_from_within(..);
    rules(&new, &old, &mut errors);
    errors.0
}

fn answers_have_metadata(review: &mut Value) {
    meta::entry(review, "metadata");
}

/// Reviews have no name worth checking.
pub fn any_name(_: &str) -> Vec<String> {
    Vec::new()
}

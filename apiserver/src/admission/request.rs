//! What is being admitted: one write, as plugins, webhooks and policies see it.
//!
//! The object itself is not in here, since those that admit may change it; it
//! goes beside: `&mut Value` to what mutates, `&Value` to what validates, `Null`
//! where there is none (DELETE).

use apimachinery::gvk::GroupVersionKind;
use apimachinery::meta;
use serde_json::{Value, json};

use crate::registry::Registry;
use crate::registry::options::{DeleteOptions, Propagation, WriteOptions};
use crate::registry::update::Part;
use crate::served::Served;
use crate::user::User;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    Create,
    Update,
    Delete,
    /// A request to a subresource that answers by itself: exec, attach, proxy.
    Connect,
}

impl Operation {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

/// The coordinates of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GroupVersionResource {
    pub group: String,
    pub version: String,
    pub resource: String,
}

impl GroupVersionResource {
    pub fn to_value(&self) -> Value {
        json!({ "group": self.group, "version": self.version, "resource": self.resource })
    }
}

/// A kind as reviews and expressions show it.
pub fn kind_value(kind: &GroupVersionKind) -> Value {
    json!({ "group": kind.group, "version": kind.version, "kind": kind.kind })
}

/// One write on its way to the store.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    pub operation: Operation,
    /// Of the object that is sent: `autoscaling/v1, Scale` for `/scale`.
    pub kind: GroupVersionKind,
    pub resource: GroupVersionResource,
    /// Empty for the object itself.
    pub subresource: &'a str,
    /// Empty while the server has not drawn one (`generateName`), and for a
    /// collection.
    pub name: String,
    /// Of a Namespace: its own name, as Kubernetes has it.
    pub namespace: String,
    /// Whether objects of this resource live in namespaces.
    pub is_namespaced: bool,
    pub user: &'a User,
    /// The object as it is stored; `Null` for CREATE and CONNECT.
    pub old: &'a Value,
    /// `CreateOptions`, `UpdateOptions`, `PatchOptions`, `DeleteOptions`, or what
    /// a CONNECT was asked with.
    pub options: Value,
    pub dry_run: bool,
}

/// A way to write down an empty object.
static NOTHING: Value = Value::Null;

impl<'a> Request<'a> {
    fn new(registry: &Registry<'a>, operation: Operation, subresource: &'a str) -> Self {
        let kind = registry.kind;
        Self {
            operation,
            kind: kind_of(kind),
            resource: resource_of(kind),
            subresource,
            name: String::new(),
            namespace: registry.namespace.unwrap_or("").to_owned(),
            is_namespaced: kind.is_namespaced(),
            user: &registry.call.user,
            old: &NOTHING,
            options: Value::Null,
            dry_run: false,
        }
    }

    /// A new object, which need not have a name yet.
    pub fn create(registry: &Registry<'a>, object: &Value, options: &WriteOptions) -> Self {
        let name = meta::name(object);
        Self {
            name: name.to_owned(),
            namespace: namespace_of(registry, name),
            options: write_options("CreateOptions", registry, options.dry_run),
            dry_run: options.dry_run,
            ..Self::new(registry, Operation::Create, "")
        }
    }

    /// A change of `part` of the object that is stored as `old`.
    pub fn update(
        registry: &Registry<'a>,
        old: &'a Value,
        part: Part,
        options: &WriteOptions,
    ) -> Self {
        Self {
            name: meta::name(old).to_owned(),
            namespace: namespace_of(registry, meta::name(old)),
            old,
            options: write_options("UpdateOptions", registry, options.dry_run),
            dry_run: options.dry_run,
            ..Self::new(registry, Operation::Update, part.subresource())
        }
    }

    /// The end of the object that is stored as `old`.
    pub fn delete(registry: &Registry<'a>, old: &'a Value, options: &DeleteOptions) -> Self {
        Self {
            name: meta::name(old).to_owned(),
            namespace: namespace_of(registry, meta::name(old)),
            old,
            options: delete_options(options),
            dry_run: options.dry_run,
            ..Self::new(registry, Operation::Delete, "")
        }
    }

    /// A request to a subresource of `name` that makes or asks for something of
    /// another kind: a Binding, an Eviction, `PodExecOptions`.
    pub fn on_subresource(
        registry: &Registry<'a>,
        operation: Operation,
        name: &str,
        subresource: &'a str,
        dry_run: bool,
    ) -> Self {
        let mut request = Self::new(registry, operation, subresource);
        if let Some(known) = registry.kind.subresource(subresource) {
            request.kind = GroupVersionKind::new(known.group, known.version, known.kind);
        }
        request.name = name.to_owned();
        request.dry_run = dry_run;
        if operation == Operation::Create {
            request.options = write_options("CreateOptions", registry, dry_run);
        }
        request
    }

    /// Whether what is sent is an object of `kind`, and not a Scale of one.
    pub fn is_of(&self, kind: &Served) -> bool {
        (self.kind.group.as_str(), self.kind.kind.as_str()) == (kind.group(), kind.kind())
    }

    /// What expressions and reviews call `request`, but for `uid`, `object` and
    /// `oldObject`.
    pub fn to_value(&self) -> Value {
        let mut value = json!({
            "kind": kind_value(&self.kind),
            "resource": self.resource.to_value(),
            "requestKind": kind_value(&self.kind),
            "requestResource": self.resource.to_value(),
            "operation": self.operation.as_str(),
            "userInfo": crate::reviews::user_info(self.user),
            "dryRun": self.dry_run,
            "options": self.options,
        });
        for (field, text) in [
            ("subResource", self.subresource),
            ("requestSubResource", self.subresource),
            ("name", self.name.as_str()),
            ("namespace", self.namespace.as_str()),
        ] {
            if !text.is_empty() {
                value[field] = text.into();
            }
        }
        value
    }
}

pub fn kind_of(kind: &Served) -> GroupVersionKind {
    GroupVersionKind::new(kind.group(), kind.version(), kind.kind())
}

pub fn resource_of(kind: &Served) -> GroupVersionResource {
    GroupVersionResource {
        group: kind.group().to_owned(),
        version: kind.version().to_owned(),
        resource: kind.plural().to_owned(),
    }
}

/// A Namespace is in itself.
fn namespace_of(registry: &Registry<'_>, name: &str) -> String {
    if registry.kind.is("", "namespaces") {
        return name.to_owned();
    }
    registry.namespace.unwrap_or("").to_owned()
}

fn write_options(kind: &str, registry: &Registry<'_>, dry_run: bool) -> Value {
    let mut options = options_of(kind, dry_run);
    for field in ["fieldManager", "fieldValidation"] {
        if let Some(text) = registry.call.query.text(field) {
            options[field] = text.into();
        }
    }
    options
}

fn options_of(kind: &str, dry_run: bool) -> Value {
    let mut options = json!({ "kind": kind, "apiVersion": "meta.k8s.io/v1" });
    if dry_run {
        options["dryRun"] = json!(["All"]);
    }
    options
}

fn delete_options(of: &DeleteOptions) -> Value {
    let mut options = options_of("DeleteOptions", of.dry_run);
    if let Some(seconds) = of.grace_seconds {
        options["gracePeriodSeconds"] = seconds.into();
    }
    if let Some(propagation) = of.propagation {
        let policy = match propagation {
            Propagation::Background => "Background",
            Propagation::Foreground => "Foreground",
            Propagation::Orphan => "Orphan",
        };
        options["propagationPolicy"] = policy.into();
    }
    for (field, text) in [("uid", &of.uid), ("resourceVersion", &of.resource_version)] {
        if let Some(text) = text {
            meta::entry(&mut options, "preconditions")[field] = text.as_str().into();
        }
    }
    options
}

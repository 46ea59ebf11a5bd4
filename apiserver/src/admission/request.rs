//! What is being admitted: one write, as plugins, webhooks and policies see it.
//!
//! The object itself is not in here, since those that admit may change it; it
//! goes beside: `&mut Value` to what mutates, `&Value` to what validates, `Null`
//! where there is none (DELETE).

use apimachinery::gvk::GroupVersionKind;
use serde_json::{Value, json};

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
    pub namespace: &'a str,
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

impl Request<'_> {
    /// `deployments`, `deployments/scale`.
    pub fn full_resource(&self) -> String {
        if self.subresource.is_empty() {
            return self.resource.resource.clone();
        }
        format!("{}/{}", self.resource.resource, self.subresource)
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
            ("namespace", self.namespace),
        ] {
            if !text.is_empty() {
                value[field] = text.into();
            }
        }
        value
    }
}

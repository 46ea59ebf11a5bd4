//! One line of the log: an `Event` of `audit.k8s.io/v1`, fields in its order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::policy::{Level, Stage};
use crate::route::{Route, Target, Verb};
use crate::user::User;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event<'a> {
    pub kind: &'static str,
    pub api_version: &'static str,
    pub level: Level,
    #[serde(rename = "auditID")]
    pub audit_id: &'a str,
    pub stage: Stage,
    #[serde(rename = "requestURI")]
    pub request_uri: &'a str,
    pub verb: &'a str,
    pub user: UserInfo<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impersonated_user: Option<UserInfo<'a>>,
    #[serde(rename = "sourceIPs", skip_serializing_if = "<[_]>::is_empty")]
    pub source_ips: &'a [String],
    #[serde(skip_serializing_if = "str::is_empty")]
    pub user_agent: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object_ref: Option<&'a ObjectRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_status: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_object: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_object: Option<&'a RawValue>,
    pub request_received_timestamp: &'a str,
    pub stage_timestamp: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: &'a BTreeMap<String, String>,
}

#[derive(Serialize, Default)]
pub struct UserInfo<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    pub username: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub uid: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub groups: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra: Option<&'a BTreeMap<String, Vec<String>>>,
}

impl<'a> UserInfo<'a> {
    pub fn of(user: &'a User) -> Self {
        Self {
            username: &user.name,
            uid: &user.uid,
            groups: &user.groups,
            extra: Some(&user.extra).filter(|extra| !extra.is_empty()),
        }
    }
}

#[derive(Serialize, Clone, Default)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    pub resource: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subresource: String,
}

impl ObjectRef {
    pub fn of(route: &Route) -> Option<Self> {
        let Target::Resource(resource) = &route.target else {
            return None;
        };
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        Some(Self {
            resource: resource.resource.clone(),
            namespace: text(&resource.namespace),
            name: text(&resource.name),
            api_group: resource.group.clone(),
            api_version: resource.version.clone(),
            subresource: text(&resource.subresource),
            ..Self::default()
        })
    }
}

/// What a `Status` says; of a success only the code.
#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
pub struct ResponseStatus {
    pub metadata: Empty,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(skip_serializing_if = "Value::is_null")]
    pub details: Value,
    pub code: u16,
}

#[derive(Serialize, Deserialize, Default)]
pub struct Empty {}

/// The verb as authorization has it; that of a bare path is its method.
pub fn verb(route: &Route) -> &'static str {
    match (&route.target, route.verb) {
        (Target::Path, Verb::Create) => "post",
        (Target::Path, Verb::Update) => "put",
        (_, verb) => verb.as_str(),
    }
}

/// Requests whose responses go on for as long as somebody listens.
pub fn is_long_running(route: &Route) -> bool {
    let Target::Resource(resource) = &route.target else {
        return false;
    };
    route.verb == Verb::Watch
        || matches!(
            resource.subresource.as_deref(),
            Some("exec" | "attach" | "portforward" | "proxy" | "log")
        )
}

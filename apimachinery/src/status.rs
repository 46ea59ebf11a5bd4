//! The `Status` object: how the API says no, and why.
//!
//! One constructor a reason; code, reason, message and details come out as Kubernetes
//! has them.

use serde::{Deserialize, Serialize};

use crate::field;

/// A failed request, or a finished delete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
#[serde(tag = "kind", rename = "Status", rename_all = "camelCase")]
pub struct Status {
    #[serde(default = "v1")]
    api_version: std::borrow::Cow<'static, str>,
    #[serde(default)]
    pub metadata: ListMeta,
    pub status: Outcome,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Box<Details>>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub code: u16,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ListMeta {
    #[serde(default, skip_serializing_if = "String::is_empty", rename = "continue")]
    pub continue_token: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    Success,
    Failure,
}

/// What the message is about, for programs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Details {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    #[serde(skip_serializing_if = "is_zero")]
    pub retry_after_seconds: u16,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cause {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// A group and a plural, as messages name them: `deployments.apps`, `pods`.
#[derive(Clone, Copy, Debug)]
pub struct Resource<'a> {
    pub group: &'a str,
    pub plural: &'a str,
}

impl<'a> Resource<'a> {
    pub fn new(group: &'a str, plural: &'a str) -> Self {
        Resource { group, plural }
    }

    fn details(self, name: &str) -> Details {
        Details {
            name: name.to_owned(),
            group: self.group.to_owned(),
            kind: self.plural.to_owned(),
            ..Details::default()
        }
    }
}

impl std::fmt::Display for Resource<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.plural)?;
        if self.group.is_empty() {
            return Ok(());
        }
        write!(f, ".{}", self.group)
    }
}

fn v1() -> std::borrow::Cow<'static, str> {
    "v1".into()
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_zero(n: &u16) -> bool {
    *n == 0
}

impl Status {
    fn failure(code: u16, reason: &str, message: impl Into<String>) -> Self {
        Status {
            api_version: v1(),
            metadata: ListMeta::default(),
            status: Outcome::Failure,
            message: message.into(),
            reason: reason.to_owned(),
            details: None,
            code,
        }
    }

    fn with(mut self, details: Details) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    /// The answer to a delete that is done.
    pub fn success(details: Option<Details>) -> Self {
        Status {
            status: Outcome::Success,
            details: details.map(Box::new),
            ..Self::failure(0, "", "")
        }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a Status holds only strings and numbers")
    }

    // 400 and friends: the request itself

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::failure(400, "BadRequest", message)
    }

    pub fn unauthorized() -> Self {
        Self::failure(401, "Unauthorized", "Unauthorized")
    }

    /// `why` is the authorizer's or an admission plugin's sentence.
    pub fn forbidden(resource: Resource<'_>, name: &str, why: &str) -> Self {
        let message = if name.is_empty() {
            format!("{resource} is forbidden: {why}")
        } else {
            format!("{resource} {name:?} is forbidden: {why}")
        };
        Self::failure(403, "Forbidden", message).with(resource.details(name))
    }

    /// Forbidden outside of any resource: `forbidden: User "x" cannot get path "/metrics"`.
    pub fn forbidden_path(why: &str) -> Self {
        Self::failure(403, "Forbidden", format!("forbidden: {why}")).with(Details::default())
    }

    pub fn not_found(resource: Resource<'_>, name: &str) -> Self {
        Self::failure(404, "NotFound", format!("{resource} {name:?} not found"))
            .with(resource.details(name))
    }

    /// No such path, version, resource or subresource.
    pub fn no_such_resource() -> Self {
        Self::failure(
            404,
            "NotFound",
            "the server could not find the requested resource",
        )
        .with(Details::default())
    }

    pub fn method_not_allowed() -> Self {
        Self::failure(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
        .with(Details::default())
    }

    /// The resource exists, the action on it does not.
    pub fn method_not_supported(resource: Resource<'_>, action: &str) -> Self {
        let message = format!("{action} is not supported on resources of kind \"{resource}\"");
        Self::failure(405, "MethodNotAllowed", message).with(resource.details(""))
    }

    pub fn not_acceptable() -> Self {
        Self::failure(406, "NotAcceptable", "406: Not Acceptable").with(Details::default())
    }

    pub fn already_exists(resource: Resource<'_>, name: &str) -> Self {
        let message = format!("{resource} {name:?} already exists");
        Self::failure(409, "AlreadyExists", message).with(resource.details(name))
    }

    /// Every name that `generateName` came up with was taken.
    pub fn generate_name_conflict(resource: Resource<'_>, name: &str) -> Self {
        let message = format!(
            "{resource} {name:?} already exists, the server was not able to generate a unique name for the object"
        );
        let mut details = resource.details(name);
        details.retry_after_seconds = 1;
        Self::failure(409, "AlreadyExists", message).with(details)
    }

    pub fn conflict(resource: Resource<'_>, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {resource} {name:?}: {why}");
        Self::failure(409, "Conflict", message).with(resource.details(name))
    }

    /// Someone else wrote the object since it was read.
    pub fn stale(resource: Resource<'_>, name: &str) -> Self {
        Self::conflict(
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// Server-side apply would take fields from other managers.
    pub fn apply_conflict(message: impl Into<String>, causes: Vec<Cause>) -> Self {
        Self::failure(409, "Conflict", message).with(Details {
            causes,
            ..Details::default()
        })
    }

    /// The revision asked for was compacted away.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::failure(410, "Expired", message)
    }

    pub fn gone(message: impl Into<String>) -> Self {
        Self::failure(410, "Gone", message)
    }

    pub fn too_large(message: impl Into<String>) -> Self {
        Self::failure(413, "RequestEntityTooLarge", message)
    }

    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        Self::failure(
            415,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format - accepted media types include: {}",
                accepted.join(", ")
            ),
        )
    }

    /// The body's type is none that the path takes; Kubernetes does not say which.
    pub fn unknown_media_type() -> Self {
        let message = "415: Unsupported Media Type";
        Self::failure(415, "UnsupportedMediaType", message)
    }

    /// The object breaks rules; every one is listed.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &[field::Error]) -> Self {
        let resource = Resource::new(group, kind);
        let message = format!("{resource} {name:?} is invalid: {}", aggregate(errors));
        let mut details = resource.details(name);
        details.causes = errors.iter().map(Cause::from).collect();
        Self::failure(422, "Invalid", message).with(details)
    }

    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u16) -> Self {
        Self::failure(429, "TooManyRequests", message).with(Details {
            retry_after_seconds,
            ..Details::default()
        })
    }

    // 5xx: the server

    pub fn internal(message: impl std::fmt::Display) -> Self {
        Self::failure(
            500,
            "InternalError",
            format!("Internal error occurred: {message}"),
        )
        .with(Details {
            causes: vec![Cause {
                message: message.to_string(),
                ..Cause::default()
            }],
            ..Details::default()
        })
    }

    /// An error without a reason, as Kubernetes answers where it did not classify one.
    pub fn unclassified(message: impl Into<String>) -> Self {
        Self::failure(500, "", message)
    }

    pub fn not_implemented(message: impl Into<String>) -> Self {
        Self::failure(501, "NotImplemented", message)
    }

    pub fn service_unavailable(message: impl Into<String>) -> Self {
        Self::failure(503, "ServiceUnavailable", message)
    }

    pub fn server_timeout(resource: Resource<'_>, action: &str, retry_after_seconds: u16) -> Self {
        let message = format!(
            "The {action} operation against {resource} could not be completed at this time, please try again."
        );
        let mut details = resource.details("");
        details.retry_after_seconds = retry_after_seconds;
        Self::failure(500, "ServerTimeout", message).with(details)
    }

    pub fn timeout(message: impl std::fmt::Display) -> Self {
        Self::failure(504, "Timeout", format!("Timeout: {message}")).with(Details::default())
    }
}

/// Every distinct text once; brackets where there are several.
fn aggregate(errors: &[field::Error]) -> String {
    let mut texts: Vec<String> = Vec::with_capacity(errors.len());
    for text in errors.iter().map(ToString::to_string) {
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    match texts.as_slice() {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    }
}

impl From<&field::Error> for Cause {
    fn from(error: &field::Error) -> Self {
        Cause {
            reason: error.mistake.reason().to_owned(),
            message: error.body(),
            field: error.field.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::field::{Error, Path};

    fn body(status: &Status) -> Value {
        serde_json::to_value(status).expect("serializes")
    }

    #[test]
    fn a_missing_object_answers_as_recorded() {
        let got = body(&Status::not_found(Resource::new("", "pods"), "none"));
        assert_eq!(
            got,
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "pods \"none\" not found", "reason": "NotFound",
                "details": {"name": "none", "kind": "pods"}, "code": 404})
        );
    }

    #[test]
    fn one_error_stands_alone_and_several_stand_in_brackets_once_each() {
        let path = Path::new("spec");
        let one = Error::required(&path.child("a"), "");
        let two = Error::required(&path.child("b"), "");
        let single = Status::invalid("apps", "Deployment", "d", std::slice::from_ref(&one));
        assert_eq!(
            single.message,
            "Deployment.apps \"d\" is invalid: spec.a: Required value"
        );
        let several = Status::invalid("", "Pod", "p", &[one.clone(), two, one]);
        assert_eq!(
            several.message,
            "Pod \"p\" is invalid: [spec.a: Required value, spec.b: Required value]"
        );
        assert_eq!(several.details.expect("details").causes.len(), 3);
    }

    #[test]
    fn a_route_unknown_has_empty_details_and_a_bad_request_none() {
        assert_eq!(body(&Status::no_such_resource())["details"], json!({}));
        assert!(body(&Status::bad_request("x")).get("details").is_none());
    }

    #[test]
    fn a_status_reads_back_what_it_wrote() {
        let status = Status::stale(Resource::new("apps", "deployments"), "web");
        let back: Status = serde_json::from_slice(&status.to_bytes()).expect("parses");
        assert_eq!(back, status);
    }
}

//! From a request's body to an object of the kind that the path names.

mod types;

use std::borrow::Cow;

use apimachinery::Status;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, header};
use http_body_util::BodyExt;
use schema::{Document, Problem, protobuf};
use serde_json::Value;

use self::types::Refusal;
pub use self::types::unlike;
use super::options::{FieldValidation, WriteOptions};
use crate::api::Call;
use crate::body::RequestBody;
use crate::served::Served;

/// The largest body of a request, as Kubernetes has it.
pub const BODY_MAX: usize = 3 * 1024 * 1024;
const ACCEPTED: &[&str] = &["application/json", "application/yaml", protobuf::MEDIA_TYPE];

/// How the body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MediaType {
    Json,
    Yaml,
    Protobuf,
}

impl MediaType {
    fn of(headers: &HeaderMap, wanted: &Wanted<'_>) -> Result<Self, Status> {
        let value = headers.get(header::CONTENT_TYPE);
        let text = value
            .and_then(|v| v.to_str().ok())
            .unwrap_or("application/json");
        match text.split(';').next().unwrap_or("").trim() {
            "application/json" | "" => Ok(Self::Json),
            protobuf::MEDIA_TYPE if !wanted.is_custom() => Ok(Self::Protobuf),
            "application/yaml" | "application/x-yaml" => Ok(Self::Yaml),
            _ if wanted.is_custom() => Err(Status::unsupported_media_type(&ACCEPTED[..2])),
            _ => Err(Status::unsupported_media_type(ACCEPTED)),
        }
    }
}

/// Reads the whole body.
///
/// # Errors
/// 413 when it is longer than `BODY_MAX`, 400 when the client stopped half-way.
pub async fn body(mut body: RequestBody) -> Result<Bytes, Status> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|error| Status::bad_request(format!("read the request body: {error}")))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if whole.len() + data.len() > BODY_MAX {
            return Err(Status::too_large(format!(
                "Request entity too large: limit is {BODY_MAX}"
            )));
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// An object, and what the client should be warned of.
pub struct Decoded {
    pub object: Value,
    pub warnings: Vec<String>,
}

/// What the body should be: a kind, which need not be the path's own.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    pub group: &'a str,
    pub version: &'a str,
    pub kind: &'a str,
    /// The kind, where it may be another than a built-in one.
    pub served: Option<&'a Served>,
}

impl<'a> Wanted<'a> {
    pub const fn built_in(group: &'a str, version: &'a str, kind: &'a str) -> Self {
        Self {
            group,
            version,
            kind,
            served: None,
        }
    }
}

impl<'a> From<&'a Served> for Wanted<'a> {
    fn from(kind: &'a Served) -> Self {
        Self {
            group: kind.group(),
            version: kind.version(),
            kind: kind.kind(),
            served: Some(kind),
        }
    }
}

impl<'a> Wanted<'a> {
    /// Custom kinds have no protobuf.
    fn is_custom(&self) -> bool {
        self.served.is_some_and(Served::is_custom)
    }

    fn api_version(&self) -> Cow<'a, str> {
        if self.group.is_empty() {
            Cow::Borrowed(self.version)
        } else {
            Cow::Owned([self.group, "/", self.version].concat())
        }
    }
}

/// The object that a call sends, and the options that it sends it with
/// (`CreateOptions` or `UpdateOptions`).
pub async fn sent(
    call: &Call,
    request: Request<RequestBody>,
    wanted: Wanted<'_>,
    options: &str,
) -> Result<(Decoded, WriteOptions), Status> {
    let options = WriteOptions::read(&call.query, options)?;
    let media = MediaType::of(&call.headers, &wanted)?;
    let body = body(request.into_body()).await?;
    let decoded = object(wanted, &body, media, options.field_validation)?;
    Ok((decoded, options))
}

/// Parses, checks `apiVersion` and `kind`, and fits the object to its schema.
fn object(
    wanted: Wanted<'_>,
    bytes: &[u8],
    media: MediaType,
    validation: FieldValidation,
) -> Result<Decoded, Status> {
    let Document {
        value: mut object,
        duplicates: mut problems,
    } = parse(wanted, bytes, media)?;
    types::check(wanted, &mut object).map_err(|why| types::unreadable(wanted, &why, bytes))?;
    problems.extend(fit(wanted, &mut object)?);
    let warnings = judge(wanted, &problems, validation)?;
    Ok(Decoded { object, warnings })
}

fn parse(wanted: Wanted<'_>, bytes: &[u8], media: MediaType) -> Result<Document, Status> {
    match media {
        MediaType::Json => schema::read(bytes).map_err(|error| {
            let why = format!("couldn't get version/kind; json parse error: {error}");
            types::unreadable(wanted, &Refusal::Unrecognized(why), bytes)
        }),
        MediaType::Yaml => schema::read_yaml(bytes).map_err(|error| {
            let why = format!("yaml: {error}");
            types::unreadable(wanted, &Refusal::Unrecognized(why), bytes)
        }),
        MediaType::Protobuf => Ok(Document {
            value: kubernetes_protobuf(wanted, bytes)?,
            duplicates: Vec::new(),
        }),
    }
}

/// The object in a body of Kubernetes' protobuf, which says itself what it is, or
/// is what is wanted.
pub fn kubernetes_protobuf(wanted: Wanted<'_>, bytes: &[u8]) -> Result<Value, Status> {
    protobuf::read(bytes, (&wanted.api_version(), wanted.kind))
        .map_err(|error| Status::bad_request(error.to_string()))
}

/// The configuration that an apply sends, in YAML, of which JSON is a part.
pub fn applied(bytes: &[u8], validation: FieldValidation) -> Result<Decoded, Status> {
    const TO_JSON: &str = "error converting YAML to JSON: yaml:";
    let document = schema::read_yaml(bytes)
        .map_err(|error| Status::bad_request(format!("error decoding YAML: {TO_JSON} {error}")))?;
    let twice = &document.duplicates;
    let warnings = match validation {
        FieldValidation::Ignore => Vec::new(),
        FieldValidation::Strict if !twice.is_empty() => {
            return Err(Status::bad_request(format!(
                "error strict decoding YAML: error converting YAML to JSON: {}",
                schema::strict_text(twice)
            )));
        }
        _ => twice.iter().map(ToString::to_string).collect(),
    };
    Ok(Decoded {
        object: document.value,
        warnings,
    })
}

/// Fits an object to the schema of its kind; unknown fields are dropped and told.
///
/// # Errors
/// 400 when a value is of a wrong type.
pub fn fit(wanted: Wanted<'_>, object: &mut Value) -> Result<Vec<Problem>, Status> {
    let problems = problems(wanted, object);
    if let Some(fatal) = problems.iter().find(|p| p.is_fatal()) {
        return Err(Status::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: {fatal}",
            wanted.kind, wanted.version, wanted.kind
        )));
    }
    Ok(problems)
}

/// What is wrong with an object after it was fitted to the schema of its kind.
pub fn problems(wanted: Wanted<'_>, object: &mut Value) -> Vec<Problem> {
    match wanted.served {
        Some(kind) => kind.fit(object),
        None => schema::of(wanted.group, wanted.version, wanted.kind)
            .map_or_else(Vec::new, |node| schema::decode(node, object)),
    }
}

/// Problems as warnings, or as the refusal of a strict request.
fn judge(
    wanted: Wanted<'_>,
    problems: &[Problem],
    validation: FieldValidation,
) -> Result<Vec<String>, Status> {
    if validation == FieldValidation::Strict && !problems.is_empty() {
        return Err(Status::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: strict decoding error: {}",
            wanted.kind,
            wanted.version,
            wanted.kind,
            schema::strict_text(problems)
        )));
    }
    Ok(warnings(problems, validation))
}

/// What a request that is not strict is warned of.
pub fn warnings(problems: &[Problem], validation: FieldValidation) -> Vec<String> {
    match validation {
        FieldValidation::Warn => problems.iter().map(ToString::to_string).collect(),
        FieldValidation::Ignore | FieldValidation::Strict => Vec::new(),
    }
}

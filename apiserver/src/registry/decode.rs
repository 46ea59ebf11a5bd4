//! From a request's body to an object of the kind that the path names.

use apimachinery::Status;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, header};
use http_body_util::BodyExt;
use schema::{Problem, protobuf};
use serde_json::Value;

use super::options::{FieldValidation, WriteOptions};
use crate::api::Call;
use crate::body::RequestBody;
use crate::served::Served;

/// The largest body of a request, as Kubernetes has it.
pub const BODY_MAX: usize = 3 * 1024 * 1024;
const ACCEPTED: &[&str] = &["application/json", "application/yaml", protobuf::MEDIA_TYPE];
/// How much of a broken body an error shows.
const SHOWN: usize = 30;

/// How the body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MediaType {
    Json,
    Yaml,
    Protobuf,
}

impl MediaType {
    fn of(headers: &HeaderMap) -> Result<Self, Status> {
        let value = headers.get(header::CONTENT_TYPE);
        let text = value
            .and_then(|v| v.to_str().ok())
            .unwrap_or("application/json");
        match text.split(';').next().unwrap_or("").trim() {
            "application/json" | "" => Ok(Self::Json),
            protobuf::MEDIA_TYPE => Ok(Self::Protobuf),
            "application/yaml" | "application/x-yaml" => Ok(Self::Yaml),
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

impl Wanted<'_> {
    fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
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
    let media = MediaType::of(&call.headers)?;
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
    let (mut object, mut problems) = parse(wanted, bytes, media)?;
    check_type(wanted, &mut object)?;
    problems.extend(fit(wanted, &mut object)?);
    let warnings = judge(wanted, problems, validation)?;
    Ok(Decoded { object, warnings })
}

fn parse(
    wanted: Wanted<'_>,
    bytes: &[u8],
    media: MediaType,
) -> Result<(Value, Vec<Problem>), Status> {
    let unreadable = |why: String| {
        Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error: {why} ({})",
            wanted.kind,
            summary(bytes)
        ))
    };
    match media {
        MediaType::Json => {
            let document = schema::read(bytes).map_err(|e| unreadable(e.to_string()))?;
            Ok((document.value, document.duplicates))
        }
        MediaType::Yaml => Ok((yaml(bytes)?, Vec::new())),
        MediaType::Protobuf => Ok((kubernetes_protobuf(wanted, bytes)?, Vec::new())),
    }
}

/// The object in a body of Kubernetes' protobuf, which says itself what it is, or
/// is what is wanted.
pub fn kubernetes_protobuf(wanted: Wanted<'_>, bytes: &[u8]) -> Result<Value, Status> {
    protobuf::read(bytes, (&wanted.api_version(), wanted.kind))
        .map_err(|error| Status::bad_request(error.to_string()))
}

/// The first YAML document of the bytes, as JSON.
pub fn yaml(bytes: &[u8]) -> Result<Value, Status> {
    serde_yaml::from_slice(bytes).map_err(|error| {
        Status::bad_request(format!(
            "error decoding YAML: error converting YAML to JSON: yaml: {error}"
        ))
    })
}

fn summary(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "<empty>".into();
    }
    let shown = &bytes[..bytes.len().min(SHOWN)];
    let more = if bytes.len() > SHOWN { " ..." } else { "" };
    if bytes[0] == b'{' {
        return format!("{}{more}", String::from_utf8_lossy(shown));
    }
    let hex: String = shown.iter().map(|b| format!("{b:02x}")).collect();
    format!("{hex}{more}")
}

/// A body that does not say what it is, is what the path says.
fn check_type(wanted: Wanted<'_>, object: &mut Value) -> Result<(), Status> {
    let Some(fields) = object.as_object_mut() else {
        return Err(Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): it is no JSON object",
            wanted.kind
        )));
    };
    let given = |name: &str| {
        fields
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or("")
            .to_owned()
    };
    let (kind, version) = (given("kind"), given("apiVersion"));
    let expected = wanted.api_version();
    if !version.is_empty() && version != expected {
        return Err(Status::bad_request(format!(
            "the API version in the data ({version}) does not match the expected API version ({expected})"
        )));
    }
    if !kind.is_empty() && kind != wanted.kind {
        return Err(Status::bad_request(format!(
            "{kind} in version {expected:?} cannot be handled as a {}: no kind {kind:?} is registered for version {expected:?}",
            wanted.kind
        )));
    }
    fields.insert("kind".into(), wanted.kind.into());
    fields.insert("apiVersion".into(), expected.into());
    Ok(())
}

/// Fits an object to the schema of its kind; unknown fields are dropped and told.
///
/// # Errors
/// 400 when a value is of a wrong type.
pub fn fit(wanted: Wanted<'_>, object: &mut Value) -> Result<Vec<Problem>, Status> {
    let problems = match wanted.served {
        Some(kind) => kind.fit(object),
        None => schema::of(wanted.group, wanted.version, wanted.kind)
            .map_or_else(Vec::new, |node| schema::decode(node, object)),
    };
    if let Some(fatal) = problems.iter().find(|p| p.is_fatal()) {
        return Err(Status::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: {fatal}",
            wanted.kind, wanted.version, wanted.kind
        )));
    }
    Ok(problems)
}

/// Problems as warnings, or as the refusal of a strict request.
pub fn judge(
    wanted: Wanted<'_>,
    problems: Vec<Problem>,
    validation: FieldValidation,
) -> Result<Vec<String>, Status> {
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    match validation {
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Warn => Ok(texts),
        FieldValidation::Strict if texts.is_empty() => Ok(texts),
        FieldValidation::Strict => Err(Status::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: strict decoding error: {}",
            wanted.kind,
            wanted.version,
            wanted.kind,
            texts.join(", ")
        ))),
    }
}

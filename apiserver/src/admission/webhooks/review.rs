//! `AdmissionReview`: what a webhook is asked, and how its answer is read.

use apimachinery::{meta, random};
use base64::Engine as _;
use serde_json::{Value, json};

use super::super::matching::Matched;
use super::super::request::{Request, kind_of, kind_value, resource_of};
use super::hook::ReviewVersion;

/// A webhook's answer that makes sense.
#[derive(Debug)]
pub struct Verdict {
    pub allowed: bool,
    /// A `Status`, if one came.
    pub result: Value,
    /// A JSON patch.
    pub patch: Option<Vec<u8>>,
    pub warnings: Vec<String>,
    pub annotations: Vec<(String, String)>,
}

/// The review and the uid by which its answer is known.
pub fn ask(
    version: ReviewVersion,
    request: &Request<'_>,
    shown: &Shown,
    matched: &Matched,
) -> (Value, String) {
    let uid = random::uid();
    let mut body = request.to_value();
    body["uid"] = uid.as_str().into();
    body["object"] = shown.object.clone();
    body["oldObject"] = shown.old.clone();
    if let Matched::As(kind) = matched {
        body["resource"] = resource_of(kind).to_value();
        if request.subresource.is_empty() || request.kind.kind == kind.kind() {
            body["kind"] = kind_value(&kind_of(kind));
        }
    }
    let review = json!({
        "kind": "AdmissionReview",
        "apiVersion": version.api_version(),
        "request": body,
    });
    (review, uid)
}

/// The object as a webhook sees it.
pub struct Shown {
    pub object: Value,
    pub old: Value,
}

/// # Errors
/// What is wrong with the answer.
pub fn read(answer: &Value, version: ReviewVersion, uid: &str) -> Result<Verdict, String> {
    let (given_kind, given_version) = (meta::kind(answer), meta::api_version(answer));
    if version == ReviewVersion::V1
        && (given_kind != "AdmissionReview" || given_version != version.api_version())
    {
        return Err(format!(
            "expected webhook response of {}, Kind=AdmissionReview, got {given_version}, Kind={given_kind}",
            version.api_version()
        ));
    }
    let response = &answer["response"];
    if !response.is_object() {
        return Err("webhook response was absent".into());
    }
    let given = meta::text(response, "uid");
    if version == ReviewVersion::V1 && given != uid {
        return Err(format!("expected response.uid={uid:?}, got {given:?}"));
    }
    let texts = meta::items(response, "warnings").iter();
    let annotations = meta::map(response, "auditAnnotations")
        .into_iter()
        .flatten();
    Ok(Verdict {
        allowed: meta::flag(response, "allowed"),
        result: response["status"].clone(),
        patch: patch(response, version)?,
        warnings: texts
            .filter_map(|w| w.as_str().map(str::to_owned))
            .collect(),
        annotations: annotations
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect(),
    })
}

fn patch(response: &Value, version: ReviewVersion) -> Result<Option<Vec<u8>>, String> {
    let (encoded, kind) = (
        meta::text(response, "patch"),
        meta::text(response, "patchType"),
    );
    if version == ReviewVersion::V1 {
        match (encoded.is_empty(), kind) {
            (true, "") | (false, "JSONPatch") => {}
            (false, "") => {
                return Err("webhook returned response.patch but not response.patchType".into());
            }
            (true, _) => {
                return Err("webhook returned response.patchType but not response.patch".into());
            }
            (false, other) => {
                return Err(format!(
                    "webhook returned invalid response.patchType of {other:?}"
                ));
            }
        }
    }
    if encoded.is_empty() {
        return Ok(None);
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded);
    let bytes = decoded.map_err(|error| format!("response.patch is no base64: {error}"))?;
    Ok((!bytes.is_empty()).then_some(bytes))
}

//! What a body says it is, against what the path says.

use apimachinery::{Status, meta};
use serde_json::Value;

use super::Wanted;

/// How much of a broken body an error shows.
const SHOWN: usize = 30;
/// Where Kubernetes keeps its kinds, as its errors have it.
const SCHEME: &str = "pkg/api/legacyscheme/scheme.go:30";
/// Go's name of what it reads first.
const TYPE_META: &str = r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;

/// Why a body is not of the wanted kind.
pub(super) enum Refusal {
    /// Nothing could be made of it.
    Unrecognized(String),
    /// It is something else.
    Other {
        kind: String,
        version: String,
        why: String,
    },
    /// The kind, in another version.
    Version { given: String, expected: String },
}

/// A body that does not say what it is, is what the path says.
pub(super) fn check(wanted: Wanted<'_>, object: &mut Value) -> Result<(), Refusal> {
    if object.is_null() {
        *object = Value::Object(serde_json::Map::new());
    }
    let Some(fields) = object.as_object_mut() else {
        return Err(no_json_of(meta::json_type(object), "Go value", TYPE_META));
    };
    let given = |name: &str| match fields.get(name) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) => Ok(text.as_str()),
        Some(other) => {
            let field = format!("Go struct field .{name}");
            Err(no_json_of(meta::json_type(other), &field, "string"))
        }
    };
    let (kind, version) = (given("kind")?, given("apiVersion")?);
    let expected = wanted.api_version();
    let (has_kind, has_version) = (!kind.is_empty(), !version.is_empty());
    let kind = if has_kind { kind } else { wanted.kind };
    let version = if has_version { version } else { &expected };
    if kind != wanted.kind || version != expected {
        return Err(other(
            wanted,
            kind.to_owned(),
            version.to_owned(),
            &expected,
        ));
    }
    if !has_kind {
        fields.insert("kind".into(), wanted.kind.into());
    }
    if !has_version {
        fields.insert("apiVersion".into(), expected.into());
    }
    Ok(())
}

fn no_json_of(found: &str, place: &str, of: &str) -> Refusal {
    Refusal::Unrecognized(format!(
        "couldn't get version/kind; json parse error: json: cannot unmarshal {found} into {place} of type {of}"
    ))
}

fn other(wanted: Wanted<'_>, kind: String, given: String, expected: &str) -> Refusal {
    let is_version = if wanted.is_custom() {
        given != expected
    } else {
        kind == wanted.kind && is_registered(&kind, &given)
    };
    if is_version {
        return Refusal::Version {
            given,
            expected: expected.to_owned(),
        };
    }
    let why = if wanted.is_custom() {
        format!("no kind {kind:?} is registered for version {given:?}")
    } else {
        unlike(wanted, &kind, &given)
    };
    let version = split(&given).1.to_owned();
    Refusal::Other { kind, version, why }
}

/// Why what says that it is a `kind` of `api_version` is not of the built-in kind wanted.
pub fn unlike(wanted: Wanted<'_>, kind: &str, api_version: &str) -> String {
    if !is_registered(kind, api_version) {
        return format!(
            "no kind {kind:?} is registered for version {api_version:?} in scheme {SCHEME:?}"
        );
    }
    format!(
        "converting ({}.{kind}) to ({}.{}): unknown conversion",
        split(api_version).1,
        package(wanted.group),
        wanted.kind
    )
}

fn is_registered(kind: &str, api_version: &str) -> bool {
    let (group, version) = split(api_version);
    let mut all = kinds::all().iter();
    all.any(|k| (k.group, k.version) == (group, version) && (k.kind == kind || k.list_kind == kind))
}

/// Group and version.
fn split(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// The package that Kubernetes has the kinds of a group in.
fn package(group: &str) -> &str {
    match group.split('.').next().unwrap_or(group) {
        "" | "events" => "core",
        first => first,
    }
}

/// The answer to a body of another kind than wanted.
pub(super) fn unreadable(wanted: Wanted<'_>, why: &Refusal, bytes: &[u8]) -> Status {
    Status::bad_request(match why {
        Refusal::Unrecognized(why) => format!(
            "the object provided is unrecognized (must be of type {}): {why} ({})",
            wanted.kind,
            summary(bytes)
        ),
        Refusal::Other { kind, version, why } => format!(
            "{kind} in version {version:?} cannot be handled as a {}: {why}",
            wanted.kind
        ),
        Refusal::Version { given, expected } => format!(
            "the API version in the data ({given}) does not match the expected API version ({expected})"
        ),
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const POD: Wanted<'static> = Wanted::built_in("", "v1", "Pod");

    fn refused(wanted: Wanted<'_>, mut object: Value) -> String {
        let body = object.to_string();
        let why = check(wanted, &mut object).expect_err("refused");
        unreadable(wanted, &why, body.as_bytes()).message
    }

    #[test]
    fn a_body_that_says_nothing_is_what_the_path_says() {
        let mut object = json!({"kind": null});
        assert!(check(POD, &mut object).is_ok());
        assert_eq!(object, json!({"kind": "Pod", "apiVersion": "v1"}));
    }

    #[test]
    fn another_kind_is_refused_in_the_words_of_kubernetes() {
        assert_eq!(
            refused(POD, json!({"kind": "Service", "apiVersion": "v1"})),
            "Service in version \"v1\" cannot be handled as a Pod: converting (v1.Service) to (core.Pod): unknown conversion"
        );
        assert_eq!(
            refused(POD, json!({"kind": "Cat", "apiVersion": "pets/v1"})),
            "Cat in version \"v1\" cannot be handled as a Pod: no kind \"Cat\" is registered for version \"pets/v1\" in scheme \"pkg/api/legacyscheme/scheme.go:30\""
        );
        let scaler = Wanted::built_in("autoscaling", "v1", "HorizontalPodAutoscaler");
        let newer = json!({"kind": "HorizontalPodAutoscaler", "apiVersion": "autoscaling/v2"});
        assert_eq!(
            refused(scaler, newer),
            "the API version in the data (autoscaling/v2) does not match the expected API version (autoscaling/v1)"
        );
    }

    #[test]
    fn a_body_that_is_no_object_is_shown() {
        assert!(refused(POD, json!([])).ends_with("(5b5d)"));
        assert!(refused(POD, json!({"kind": 3})).contains(
            "json: cannot unmarshal number into Go struct field .kind of type string ({\"kind\":3})"
        ));
    }
}

//! Secret.

use apimachinery::field::{Error, Path};
use apimachinery::{meta, names};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde_json::Value;

use super::config_map::{SIZE_MAX, decoded_len, frozen};
use crate::columns::{self, AGE, Column, NAME};
use crate::defaults::{object, set_text};
use crate::errors::Errors;
use crate::kind::{Kind, Storage, text_field};
use crate::node::Node;

pub static KIND: Kind = Kind {
    kind: "Secret",
    list_kind: "SecretList",
    plural: "secrets",
    singular: "secret",
    storage: Storage::Stored { prefix: "secrets" },
    default,
    validate,
    validate_update,
    columns: &[
        NAME,
        Column::text(
            "Type",
            "What the secret is for, which decides the keys it must have.",
        ),
        Column::text("Data", "How many keys there are."),
        AGE,
    ],
    row,
    field_labels: &[text_field!("type")],
    ..Kind::BASE
};

fn default(secret: &mut Value) {
    set_text(secret, "type", "Opaque");
    // `stringData` is for writing only: it ends up in `data`.
    let Some(Value::Object(texts)) = secret.as_object_mut().and_then(|s| s.remove("stringData"))
    else {
        return;
    };
    let data = object(secret, "data");
    for (key, text) in texts {
        data[key] = BASE64.encode(text.as_str().unwrap_or_default()).into();
    }
}

const SERVICE_ACCOUNT: &str = "kubernetes.io/service-account.name";

fn validate(secret: &Node, errors: &mut Errors) {
    let data = secret.at("data");
    let mut size = 0;
    for (key, value) in data.entries() {
        for problem in names::config_map_key(key) {
            errors.push(Error::invalid(&value.path, key, problem));
        }
        size += decoded_len(value.text());
    }
    if size > SIZE_MAX {
        errors.push(Error::too_long(&Path::new("data"), SIZE_MAX));
    }
    by_type(secret, &data, errors);
}

/// Some types promise keys.
fn by_type(secret: &Node, data: &Node, errors: &mut Errors) {
    match secret.at("type").text() {
        "kubernetes.io/service-account-token" => {
            let annotations = secret.at("metadata.annotations");
            let has = annotations
                .map()
                .and_then(|all| all.get(SERVICE_ACCOUNT)?.as_str())
                .is_some_and(|name| !name.is_empty());
            if !has {
                errors.push(Error::required(&annotations.path.key(SERVICE_ACCOUNT), ""));
            }
        }
        "kubernetes.io/dockercfg" => json_key(data, ".dockercfg", errors),
        "kubernetes.io/dockerconfigjson" => json_key(data, ".dockerconfigjson", errors),
        "kubernetes.io/basic-auth" if !has(data, "username") && !has(data, "password") => {
            errors.push(Error::required(&data.path.key("username"), ""));
            errors.push(Error::required(&data.path.key("password"), ""));
        }
        "kubernetes.io/ssh-auth" => require_content(data, "ssh-privatekey", errors),
        "kubernetes.io/tls" => {
            require_key(data, "tls.crt", errors);
            require_key(data, "tls.key", errors);
        }
        _ => {}
    }
}

fn has(data: &Node, key: &str) -> bool {
    data.map().is_some_and(|data| data.contains_key(key))
}

fn require_key(data: &Node, key: &str, errors: &mut Errors) {
    if !has(data, key) {
        errors.push(Error::required(&data.path.key(key), ""));
    }
}

fn require_content(data: &Node, key: &str, errors: &mut Errors) {
    let content = data.map().and_then(|data| data.get(key)?.as_str());
    if content.is_none_or(str::is_empty) {
        errors.push(Error::required(&data.path.key(key), ""));
    }
}

fn json_key(data: &Node, key: &str, errors: &mut Errors) {
    let Some(text) = data
        .map()
        .and_then(|data| data.get(key))
        .and_then(Value::as_str)
    else {
        return errors.push(Error::required(&data.path.key(key), ""));
    };
    let bytes = BASE64.decode(text).unwrap_or_default();
    if let Err(error) = serde_json::from_slice::<serde_json::Map<String, Value>>(&bytes) {
        errors.push(Error::invalid(
            &data.path.key(key),
            "<secret contents redacted>",
            error.to_string(),
        ));
    }
}

fn validate_update(new: &Node, old: &Node, errors: &mut Errors) {
    errors.immutable(&new.at("type"), &old.at("type"));
    frozen(new, old, &["data"], errors);
    validate(new, errors);
}

fn row(secret: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        columns::name(secret),
        meta::text(secret, "type").into(),
        meta::map(secret, "data")
            .map_or(0, serde_json::Map::len)
            .into(),
        columns::age(secret, now),
    ]
}

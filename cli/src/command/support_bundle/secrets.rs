//! What must not leave the machine.

use serde_json::{Value, json};

const HIDDEN: &str = "(hidden)";
/// Names with one of these in them are those of secrets.
const SECRET_WORDS: [&str; 8] = [
    "token",
    "password",
    "passwd",
    "secret",
    "credential",
    "apikey",
    "api_key",
    "private",
];

fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase().replace('-', "_");
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// Hides what an object holds of secrets: all of a Secret, and the literal
/// values of variables that are called like one.
pub fn hide_in(object: &mut Value) {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata
            .get_mut("annotations")
            .and_then(Value::as_object_mut)
        {
            // It repeats the whole object.
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
    hide_values(object);
}

/// Hides all that a Secret says, but for the names.
pub fn hide_secret(secret: &mut Value) {
    hide_in(secret);
    if let Some(metadata) = secret["metadata"].as_object_mut() {
        metadata.remove("annotations");
    }
    for field in ["data", "stringData"] {
        for value in secret[field]
            .as_object_mut()
            .into_iter()
            .flat_map(|map| map.values_mut())
        {
            *value = json!(HIDDEN);
        }
    }
}

fn hide_values(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(hide_values),
        Value::Object(fields) => {
            let is_variable = fields
                .get("name")
                .and_then(Value::as_str)
                .is_some_and(is_secret);
            if is_variable && fields.get("value").is_some_and(Value::is_string) {
                fields.insert("value".into(), json!(HIDDEN));
            }
            for (name, field) in fields.iter_mut() {
                if is_secret(name) && field.is_string() && !is_reference(name) {
                    *field = json!(HIDDEN);
                } else {
                    hide_values(field);
                }
            }
        }
        _ => {}
    }
}

/// Names of objects, which are no secrets themselves.
fn is_reference(field: &str) -> bool {
    field.ends_with("Name") || field.ends_with("Path")
}

/// A command line without the values of flags that are called like secrets.
pub fn hide_in_args(args: &[String]) -> Vec<String> {
    let mut shown = Vec::with_capacity(args.len());
    let mut hides_next = false;
    for arg in args {
        if std::mem::take(&mut hides_next) && !arg.starts_with("--") {
            shown.push(HIDDEN.to_owned());
            continue;
        }
        match arg.split_once('=') {
            Some((flag, _)) if names_secret(flag) => shown.push(format!("{flag}={HIDDEN}")),
            Some(_) => shown.push(arg.clone()),
            None => {
                hides_next = names_secret(arg);
                shown.push(arg.clone());
            }
        }
    }
    shown
}

/// `--token`, and not `--token-auth-file`, whose value is only where a secret is.
fn names_secret(flag: &str) -> bool {
    let is_place = ["-file", "-dir", "-cafile", "-keyfile", "-certfile"];
    flag.starts_with('-') && is_secret(flag) && !is_place.iter().any(|end| flag.ends_with(end))
}

/// A configuration file without the values of such settings, line by line.
pub fn hide_in_config(text: &str) -> String {
    let hide = |line: &str| match line.split_once(':') {
        Some((name, value))
            if !value.trim().is_empty() && names_secret(&format!("--{}", name.trim())) =>
        {
            format!("{name}: {HIDDEN}\n")
        }
        _ => format!("{line}\n"),
    };
    text.lines().map(hide).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_secret_is_left_but_its_names() {
        let mut secret = json!({ "metadata": { "name": "s", "managedFields": [],
            "annotations": { "kubectl.kubernetes.io/last-applied-configuration": "{\"data\":\"aHVudGVyMg==\"}" } },
            "data": { "password": "aHVudGVyMg==" }, "stringData": { "x": "hunter2" } });
        hide_secret(&mut secret);
        let text = secret.to_string();
        assert!(
            !text.contains("hunter2") && !text.contains("aHVudGVyMg"),
            "{text}"
        );
        assert!(text.contains("\"password\""), "{text}");
    }

    #[test]
    fn variables_that_are_called_like_secrets_lose_their_values() {
        let mut pod = json!({ "spec": { "containers": [{ "env": [
            { "name": "DB_PASSWORD", "value": "hunter2" }, { "name": "MODE", "value": "fast" },
            { "name": "TOKEN", "valueFrom": { "secretKeyRef": { "name": "s", "key": "token" } } }] }],
            "volumes": [{ "secret": { "secretName": "s" } }] } });
        hide_in(&mut pod);
        let text = pod.to_string();
        assert!(!text.contains("hunter2"), "{text}");
        assert!(
            text.contains("fast") && text.contains("\"secretName\":\"s\""),
            "{text}"
        );
    }

    #[test]
    fn flags_and_settings_that_are_secrets_lose_their_values() {
        let args = [
            "skiff",
            "agent",
            "--token",
            "abc",
            "--server",
            "https://s",
            "--token=abc",
            "--token-auth-file",
            "/f",
        ];
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let shown = hide_in_args(&args).join(" ");
        assert_eq!(
            shown,
            "skiff agent --token (hidden) --server https://s --token=(hidden) --token-auth-file /f"
        );
        let shown = hide_in_config("token: abc\nserver: https://s\ntoken-auth-file: /f\n");
        assert_eq!(
            shown,
            "token: (hidden)\nserver: https://s\ntoken-auth-file: /f\n"
        );
    }
}

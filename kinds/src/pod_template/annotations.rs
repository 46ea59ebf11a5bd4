//! Annotations that say something about a pod's containers, and must agree with the fields
//! that say it today.

use apimachinery::field::Error;

use super::defaults::CONTAINER_LISTS;
use crate::errors::Errors;
use crate::node::Node;

pub const MIRROR: &str = "kubernetes.io/config.mirror";
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
pub const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// `parent` holds `metadata` and `spec`: a pod or a template.
pub fn validate(metadata: &Node, spec: &Node, errors: &mut Errors) {
    let annotations = metadata.at("annotations");
    for (key, value) in annotations.entries() {
        let text = value.text();
        if key == MIRROR && spec.at("nodeName").is_empty() {
            let why = "must set spec.nodeName if mirror pod annotation is set";
            errors.invalid_text(&value, why);
        }
        if key == DELETION_COST && !is_cost(text) {
            errors.invalid_text(&value, "must be a 32bit integer");
        }
        if (key == SECCOMP_POD || key.starts_with(SECCOMP_CONTAINER)) && !is_seccomp(text) {
            let path = annotations.path.child(key);
            errors.push(Error::invalid(
                &path,
                text,
                "must be a valid seccomp profile",
            ));
        }
        if let Some(container) = key.strip_prefix(APP_ARMOR) {
            app_armor(&value, container, spec, errors);
        }
    }
}

/// A number as `strconv` takes it: no plus sign, no zeros in front.
fn is_cost(text: &str) -> bool {
    let plain = text == "0" || !matches!(text.as_bytes(), [b'+' | b'0', ..]);
    plain && text.parse::<i32>().is_ok()
}

fn is_seccomp(profile: &str) -> bool {
    match profile.strip_prefix("localhost/") {
        Some(file) => !file.starts_with('/') && file.split('/').all(|part| part != ".."),
        None => matches!(profile, "runtime/default" | "docker/default" | "unconfined"),
    }
}

fn app_armor(value: &Node, container: &str, spec: &Node, errors: &mut Errors) {
    let has = CONTAINER_LISTS.iter().any(|list| {
        let list = spec.at(list);
        list.items().any(|c| c.at("name").text() == container)
    });
    if !has {
        errors.push(Error::invalid(
            &value.path,
            container,
            "container not found",
        ));
    }
    let profile = value.text();
    let good = matches!(profile, "" | "runtime/default" | "unconfined")
        || profile.starts_with("localhost/");
    if !good {
        errors.invalid(value, format!("invalid AppArmor profile name: {profile:?}"));
    }
}

/// What both an annotation and a field say must be the same.
pub fn agree(metadata: &Node, spec: &Node, errors: &mut Errors) {
    let annotations = metadata.at("annotations");
    let Some(annotations) = annotations.map() else {
        return;
    };
    let said = |key: &str| annotations.get(key).and_then(serde_json::Value::as_str);
    let pod = spec.at("securityContext");
    if let Some(text) = said(SECCOMP_POD) {
        seccomp_agrees(text, &pod.at("seccompProfile"), errors);
    }
    for list in CONTAINER_LISTS {
        for container in spec.at(list).items() {
            let (name, context) = (container.at("name"), container.at("securityContext"));
            if let Some(text) = said(&format!("{SECCOMP_CONTAINER}{}", name.text())) {
                seccomp_agrees(text, &context.at("seccompProfile"), errors);
            }
            let own = context.at("appArmorProfile");
            let of_pod = pod.at("appArmorProfile");
            let profile = if own.exists() {
                own.value
            } else {
                of_pod.value
            };
            let told = Node::new(profile, own.path);
            if let Some(text) = said(&format!("{APP_ARMOR}{}", name.text()))
                && spec.at("os.name").text() != "windows"
            {
                profile_agrees(text, &told, "apparmor", errors);
            }
        }
    }
}

fn seccomp_agrees(text: &str, profile: &Node, errors: &mut Errors) {
    let text = if text == "docker/default" {
        "runtime/default"
    } else {
        text
    };
    profile_agrees(text, profile, "seccomp", errors);
}

fn profile_agrees(text: &str, profile: &Node, what: &str, errors: &mut Errors) {
    if !profile.exists() {
        return;
    }
    let (kind, file) = (profile.at("type"), profile.at("localhostProfile"));
    let agrees = match kind.text() {
        "Unconfined" => text == "unconfined",
        "RuntimeDefault" => text == "runtime/default",
        "Localhost" => text.starts_with("localhost/"),
        _ => true,
    };
    if !agrees {
        let why = format!("{what} type in annotation and field must match");
        errors.forbidden(&kind, why);
    } else if kind.text() == "Localhost" && text.strip_prefix("localhost/") != Some(file.text()) {
        let why = format!("{what} profile in annotation and field must match");
        errors.forbidden(&file, why);
    }
}

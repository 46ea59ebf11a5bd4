//! The volumes of a pod or a template.

use serde_json::Value;

use super::page::{Page, array, number, or, show, string, truth};

pub fn describe(page: &mut Page, spec: &Value, depth: usize) {
    let volumes = array(spec, "/volumes");
    if volumes.is_empty() {
        return page.field(depth, "Volumes", "<none>");
    }
    page.line(depth, "Volumes:");
    for volume in volumes {
        let blank = if depth == 0 { "" } else { " " };
        page.line(1, &format!("{blank}{}:", string(volume, "/name")));
        source(page, volume);
    }
}

fn source(page: &mut Page, volume: &Value) {
    let kind = volume
        .as_object()
        .and_then(|v| v.iter().find(|(key, _)| *key != "name"));
    let Some((kind, source)) = kind else {
        return page.field(
            2,
            "Type",
            "EmptyDir (a temporary directory that shares a pod's lifetime)",
        );
    };
    let mut typed = |text: &str| page.field(2, "Type", text);
    match kind.as_str() {
        "emptyDir" => {
            typed("EmptyDir (a temporary directory that shares a pod's lifetime)");
            page.field(2, "Medium", string(source, "/medium"));
            page.field(2, "SizeLimit", or(string(source, "/sizeLimit"), "<unset>"));
        }
        "hostPath" => {
            typed("HostPath (bare host directory volume)");
            page.field(2, "Path", string(source, "/path"));
            page.field(2, "HostPathType", string(source, "/type"));
        }
        "configMap" => {
            typed("ConfigMap (a volume populated by a ConfigMap)");
            page.field(2, "Name", string(source, "/name"));
            page.field(2, "Optional", &(source["optional"] == true).to_string());
        }
        "secret" => {
            typed("Secret (a volume populated by a Secret)");
            page.field(2, "SecretName", string(source, "/secretName"));
            page.field(2, "Optional", &(source["optional"] == true).to_string());
        }
        "projected" => {
            typed("Projected (a volume that contains injected data from multiple sources)");
            array(source, "/sources")
                .iter()
                .for_each(|s| projected(page, s));
        }
        "downwardAPI" => {
            typed("DownwardAPI (a volume populated by information about the pod)");
            page.line(2, "Items:");
            for item in array(source, "/items") {
                let field = or(
                    string(item, "/fieldRef/fieldPath"),
                    string(item, "/resourceFieldRef/resource"),
                );
                page.line(3, &format!("{field} -> {}", string(item, "/path")));
            }
        }
        "persistentVolumeClaim" => {
            typed(
                "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
            );
            page.field(2, "ClaimName", string(source, "/claimName"));
            page.field(2, "ReadOnly", &(source["readOnly"] == true).to_string());
        }
        other => typed(other),
    }
}

fn projected(page: &mut Page, source: &Value) {
    if let Some(secret) = source.get("secret") {
        page.field(2, "SecretName", string(secret, "/name"));
        page.field(2, "SecretOptionalName", &optional(secret));
    } else if source.get("downwardAPI").is_some() {
        page.field(2, "DownwardAPI", "true");
    } else if let Some(map) = source.get("configMap") {
        page.field(2, "ConfigMapName", string(map, "/name"));
        page.field(2, "ConfigMapOptional", &optional(map));
    } else if let Some(token) = source.get("serviceAccountToken") {
        let seconds = number(token, "/expirationSeconds").to_string();
        page.field(2, "TokenExpirationSeconds", &seconds);
    }
}

fn optional(source: &Value) -> String {
    or(&show(&source["optional"]), "<nil>").to_owned()
}

/// `key=value:Effect op=Exists for 300s`, one a line.
pub fn tolerations(page: &mut Page, spec: &Value, depth: usize) {
    let mut lines: Vec<String> = array(spec, "/tolerations").iter().map(toleration).collect();
    lines.sort();
    page.list(depth, "Tolerations", &lines);
}

fn toleration(toleration: &Value) -> String {
    let mut text = string(toleration, "/key").to_owned();
    if !string(toleration, "/value").is_empty() {
        text.push_str(&format!("={}", string(toleration, "/value")));
    }
    if !string(toleration, "/effect").is_empty() {
        text.push_str(&format!(":{}", string(toleration, "/effect")));
    }
    if string(toleration, "/operator") == "Exists" && string(toleration, "/value").is_empty() {
        if text.is_empty() {
            text.push_str("op=Exists");
        } else {
            text.push_str(" op=Exists");
        }
    }
    if let Some(seconds) = toleration["tolerationSeconds"].as_i64() {
        text.push_str(&format!(" for {seconds}s"));
    }
    text
}

/// The conditions that are only a type and a status.
pub fn conditions(page: &mut Page, conditions: &[Value]) {
    if conditions.is_empty() {
        return;
    }
    page.line(0, "Conditions:");
    page.line(1, "Type\tStatus");
    for condition in conditions {
        let status = string(condition, "/status");
        let status = or(status, truth(&condition["status"]));
        page.line(1, &format!("{} \t{status} ", string(condition, "/type")));
    }
}

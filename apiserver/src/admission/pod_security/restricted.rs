//! The restricted level: what hardens a pod is asked for, not only the worst
//! forbidden.

use apimachinery::meta;
use serde_json::Value;

use super::Violation;
use super::baseline;
use super::spec::{PodView, containers, plural, quoted, setters, sorted};

const VOLUMES: &[&str] = &[
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

pub fn check(pod: &PodView<'_>, found: &mut Vec<Violation>) {
    let all = [
        privilege_escalation(pod),
        capabilities(pod),
        volumes(pod),
        run_as_non_root(pod),
        run_as_user(pod),
        seccomp(pod),
    ];
    found.extend(all.into_iter().flatten());
}

fn privilege_escalation(pod: &PodView<'_>) -> Option<Violation> {
    let by = pod.containers_where(|c| c["securityContext"]["allowPrivilegeEscalation"] != false);
    (!by.is_empty() && !pod.is_windows()).then(|| {
        let detail = format!(
            "{} must set securityContext.allowPrivilegeEscalation=false",
            containers(&by)
        );
        Violation::new("allowPrivilegeEscalation != false", detail)
    })
}

fn capabilities(pod: &PodView<'_>) -> Option<Violation> {
    fn added(container: &Value) -> Vec<&str> {
        let added = meta::items(container, "securityContext.capabilities.add").iter();
        let names = added.filter_map(Value::as_str);
        names.filter(|name| *name != "NET_BIND_SERVICE").collect()
    }
    if pod.is_windows() {
        return None;
    }
    let keeping = pod.containers_where(|c| {
        let mut dropped = meta::items(c, "securityContext.capabilities.drop").iter();
        !dropped.any(|name| name == "ALL")
    });
    let adding = pod.containers_where(|c| !added(c).is_empty());
    let mut detail = Vec::new();
    if !keeping.is_empty() {
        detail.push(format!(
            "{} must set securityContext.capabilities.drop=[\"ALL\"]",
            containers(&keeping)
        ));
    }
    if !adding.is_empty() {
        detail.push(format!(
            "{} must not include {} in securityContext.capabilities.add",
            containers(&adding),
            quoted(sorted(pod.containers().flat_map(added)))
        ));
    }
    (!detail.is_empty()).then(|| Violation::new("unrestricted capabilities", detail.join("; ")))
}

fn volumes(pod: &PodView<'_>) -> Option<Violation> {
    fn source(volume: &Value) -> &str {
        let mut fields = volume.as_object().into_iter().flatten();
        let source = fields.find(|(key, value)| *key != "name" && value.is_object());
        source.map_or("unknown", |(key, _)| key.as_str())
    }
    let all = meta::items(pod.spec, "volumes").iter();
    let bad: Vec<&Value> = all.filter(|v| !VOLUMES.contains(&source(v))).collect();
    if bad.is_empty() {
        return None;
    }
    let names: Vec<&str> = bad.iter().map(|v| meta::text(v, "name")).collect();
    let types = sorted(bad.iter().map(|v| source(v)));
    let detail = format!(
        "{} {} {} {} {}",
        plural("volume", "volumes", names.len()),
        quoted(&names),
        plural("uses", "use", names.len()),
        plural(
            "restricted volume type",
            "restricted volume types",
            types.len()
        ),
        quoted(&types)
    );
    Some(Violation::new("restricted volume types", detail))
}

fn run_as_non_root(pod: &PodView<'_>) -> Option<Violation> {
    const REASON: &str = "runAsNonRoot != true";
    if pod.has_own_users() {
        return None;
    }
    let of_pod = &pod.context()["runAsNonRoot"];
    let set = |c: &Value| c["securityContext"]["runAsNonRoot"].as_bool();
    let by = pod.containers_where(|c| set(c) == Some(false));
    if let Some(who) = setters(*of_pod == false, &by) {
        let detail = format!("{who} must not set securityContext.runAsNonRoot=false");
        return Some(Violation::new(REASON, detail));
    }
    let silent = pod.containers_where(|c| set(c).is_none());
    (*of_pod != true && !silent.is_empty()).then(|| {
        let detail = format!(
            "pod or {} must set securityContext.runAsNonRoot=true",
            containers(&silent)
        );
        Violation::new(REASON, detail)
    })
}

fn run_as_user(pod: &PodView<'_>) -> Option<Violation> {
    let is_root = |context: &Value| context["runAsUser"].as_i64() == Some(0);
    let by = pod.containers_where(|c| is_root(&c["securityContext"]));
    let who = setters(is_root(pod.context()), &by).filter(|_| !pod.has_own_users())?;
    Some(Violation::new(
        "runAsUser=0",
        format!("{who} must not set runAsUser=0"),
    ))
}

fn seccomp(pod: &PodView<'_>) -> Option<Violation> {
    if pod.is_windows() {
        return None;
    }
    if let Some(bad) = baseline::seccomp(pod) {
        return Some(bad);
    }
    let silent = pod.containers_where(|c| !c["securityContext"]["seccompProfile"].is_object());
    let by_pod = pod.context()["seccompProfile"].is_object();
    (!by_pod && !silent.is_empty()).then(|| {
        let detail = format!(
            "pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
            containers(&silent)
        );
        Violation::new("seccompProfile", detail)
    })
}

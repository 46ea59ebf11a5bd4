use serde_json::{Value, json};

use super::policy::{Level, Policy};
use super::spec::{PodView, is_significant};
use super::{details, violations};

fn broken(level: Level, spec: &Value) -> String {
    let pod = json!({ "metadata": {}, "spec": spec });
    details(&violations(level, &PodView::of("pods", &pod).unwrap()))
}

#[test]
fn a_plain_pod_breaks_four_controls_of_restricted_and_none_of_baseline() {
    let spec = json!({ "containers": [{ "name": "c" }] });
    assert_eq!(broken(Level::Baseline, &spec), "");
    assert_eq!(
        broken(Level::Restricted, &spec),
        "allowPrivilegeEscalation != false (container \"c\" must set securityContext.allowPrivilegeEscalation=false), \
         unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]), \
         runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true), \
         seccompProfile (pod or container \"c\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"
    );
}

#[test]
fn a_hardened_pod_breaks_nothing() {
    let spec = json!({
        "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
        "volumes": [{ "name": "v", "emptyDir": {} }],
        "containers": [{ "name": "c", "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"], "add": ["NET_BIND_SERVICE"] } } }],
    });
    assert_eq!(broken(Level::Restricted, &spec), "");
}

#[test]
fn baseline_names_each_way_to_the_machine() {
    let spec = json!({
        "hostNetwork": true, "hostPID": true,
        "securityContext": { "sysctls": [{ "name": "kernel.msgmax" }], "seLinuxOptions": { "type": "foo" } },
        "volumes": [{ "name": "root", "hostPath": { "path": "/" } }],
        "containers": [
            { "name": "a", "ports": [{ "hostPort": 80 }], "securityContext": { "privileged": true, "capabilities": { "add": ["SYS_ADMIN"] } } },
            { "name": "b", "securityContext": { "seLinuxOptions": { "user": "u" } }, "livenessProbe": { "httpGet": { "host": "1.2.3.4" } } },
        ],
    });
    assert_eq!(
        broken(Level::Baseline, &spec),
        "non-default capabilities (container \"a\" must not include \"SYS_ADMIN\" in securityContext.capabilities.add), \
         host namespaces (hostNetwork=true, hostPID=true), \
         hostPath volumes (volume \"root\"), \
         hostPort (container \"a\" uses hostPort 80), \
         probe or lifecycle host (container \"b\" uses probe or lifecycle host \"1.2.3.4\"), \
         privileged (container \"a\" must not set securityContext.privileged=true), \
         seLinuxOptions (pod and container \"b\" set forbidden securityContext.seLinuxOptions: type \"foo\"; user may not be set), \
         forbidden sysctls (kernel.msgmax)"
    );
}

#[test]
fn restricted_volumes_are_named_with_their_types() {
    let mut spec = json!({ "hostUsers": false, "os": { "name": "windows" }, "containers": [] });
    spec["volumes"] =
        json!([{ "name": "a", "nfs": {} }, { "name": "b", "hostPath": {} }, { "name": "c" }]);
    assert_eq!(
        broken(Level::Restricted, &spec),
        "restricted volume types (volumes \"a\", \"b\", \"c\" use restricted volume types \"hostPath\", \"nfs\", \"unknown\")"
    );
}

#[test]
fn an_unconfined_profile_breaks_baseline() {
    let spec = json!({
        "securityContext": { "seccompProfile": { "type": "Unconfined" }, "appArmorProfile": { "type": "Unconfined" } },
        "containers": [{ "name": "c", "securityContext": { "procMount": "Unmasked" } }],
    });
    assert_eq!(
        broken(Level::Baseline, &spec),
        "forbidden AppArmor profile (pod must not set AppArmor profile type to \"Unconfined\"), \
         procMount (container \"c\" must not set securityContext.procMount to \"Unmasked\"), \
         seccompProfile (pod must not set securityContext.seccompProfile.type to \"Unconfined\")"
    );
}

#[test]
fn wrong_labels_are_strict_for_what_is_enforced_and_lax_for_the_rest() {
    let labels = json!({
        "pod-security.kubernetes.io/enforce": "tight", "pod-security.kubernetes.io/warn": "x",
        "pod-security.kubernetes.io/warn-version": "v1.07",
    });
    let (policy, mistakes) = Policy::of_labels(labels.as_object(), &Policy::default());
    assert_eq!(policy.enforce.level, Level::Restricted);
    assert_eq!(policy.warn.level, Level::Privileged);
    assert_eq!(mistakes.len(), 3);
}

#[test]
fn a_status_or_label_change_is_not_significant_and_an_image_is() {
    let old = json!({ "metadata": {}, "spec": { "containers": [{ "name": "c", "image": "i" }] } });
    let mut new = old.clone();
    new["metadata"] = json!({ "labels": { "a": "b" } });
    assert!(!is_significant(&new, &old));
    new["spec"]["containers"][0]["image"] = "j".into();
    assert!(is_significant(&new, &old));
}

//! MutatingAdmissionPolicies.

use http::Method;
use serde_json::{Value, json};

use super::{GROUP, MAPS, cluster, is_refused, make, map, once};
use crate::cluster::Cluster;

async fn enforce(cluster: &Cluster, name: &str, resource: &str, spec: &Value) {
    let mut policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy",
        "metadata": { "name": name },
        "spec": { "failurePolicy": "Fail", "reinvocationPolicy": "IfNeeded",
            "matchConstraints": { "resourceRules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "resources": [resource],
                "operations": ["CREATE"],
            }] } },
    });
    for (field, value) in spec.as_object().unwrap() {
        policy["spec"][field] = value.clone();
    }
    make(
        cluster,
        &format!("{GROUP}/mutatingadmissionpolicies"),
        &policy,
    )
    .await;
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding",
        "metadata": { "name": name }, "spec": { "policyName": name },
    });
    make(
        cluster,
        &format!("{GROUP}/mutatingadmissionpolicybindings"),
        &binding,
    )
    .await;
}

const SIDECAR: &str = "Object{
    spec: Object.spec{
        initContainers: [
            Object.spec.initContainers{
                name: \"mesh-proxy\",
                image: \"mesh/proxy:v1.0.0\",
                restartPolicy: \"Always\"
            }
        ]
    }
}";

#[tokio::test]
async fn an_apply_configuration_is_merged_by_the_schema() {
    let cluster = cluster().await;
    let spec = json!({
        "matchConditions": [{
            "name": "does-not-already-have-sidecar",
            "expression": "!object.spec.?initContainers.orValue([]).exists(ic, ic.name == \"mesh-proxy\")",
        }],
        "mutations": [{
            "patchType": "ApplyConfiguration", "applyConfiguration": { "expression": SIDECAR },
        }],
    });
    enforce(&cluster, "sidecar", "pods", &spec).await;
    let account =
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "default" } });
    make(&cluster, "/api/v1/namespaces/g/serviceaccounts", &account).await;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p" },
        "spec": {
            "containers": [{ "name": "main", "image": "a:1" }],
            "initContainers": [{ "name": "first", "image": "b:1" }],
        },
    });
    let has_sidecar = |pod: &Value| {
        pod["spec"]["initContainers"]
            .as_array()
            .is_some_and(|all| all.len() == 2)
    };
    let made = once(&cluster, "/api/v1/namespaces/g/pods", &pod, has_sidecar).await;
    let all = made["spec"]["initContainers"].as_array().unwrap();
    let sidecar = all.iter().find(|c| c["name"] == "mesh-proxy").unwrap();
    assert_eq!(sidecar["restartPolicy"], "Always");
    // Defaults are set after policies too.
    assert_eq!(sidecar["terminationMessagePolicy"], "File");
    assert_eq!(made["spec"]["containers"][0]["image"], "a:1");
}

#[tokio::test]
async fn a_patch_is_applied_and_later_policies_see_it() {
    let cluster = cluster().await;
    let first = json!({ "mutations": [{ "patchType": "JSONPatch", "jsonPatch": { "expression":
        "[
            JSONPatch{op: \"test\", path: \"/data/a\", value: \"1\"},
            JSONPatch{op: \"add\", path: \"/metadata/labels\", value: {}},
            JSONPatch{
                op: \"add\",
                path: \"/metadata/labels/\" + jsonpatch.escapeKey(\"example.com/mode\"),
                value: object.data.a
            }
        ]",
    } }], "matchConditions": [{ "name": "once", "expression": "!has(object.metadata.labels)" }] });
    let second = json!({ "mutations": [{ "patchType": "JSONPatch", "jsonPatch": { "expression":
        "[JSONPatch{op: 'add', path: '/data/seen', value: object.metadata.labels['example.com/mode']}]",
    } }] });
    enforce(&cluster, "a-first", "configmaps", &first).await;
    enforce(&cluster, "b-second", "configmaps", &second).await;
    let made = once(&cluster, MAPS, &map("c", &json!({ "a": "1" })), |made| {
        made["data"]["seen"] == "1"
    })
    .await;
    assert_eq!(
        made["metadata"]["labels"],
        json!({ "example.com/mode": "1" })
    );
}

#[tokio::test]
async fn a_policy_sees_what_a_later_one_did_when_it_is_asked_again() {
    let cluster = cluster().await;
    let count = json!({ "mutations": [{ "patchType": "ApplyConfiguration", "applyConfiguration": {
        "expression": "Object{data: {'count': string(size(object.data))}}",
    } }] });
    let late = json!({ "mutations": [{ "patchType": "ApplyConfiguration", "applyConfiguration": {
        "expression": "Object{data: {'late': 'yes'}}",
    } }], "reinvocationPolicy": "Never" });
    enforce(&cluster, "a-count", "configmaps", &count).await;
    enforce(&cluster, "b-late", "configmaps", &late).await;
    let made = once(&cluster, MAPS, &map("c", &json!({ "a": "1" })), |made| {
        made["data"]["late"] == "yes"
    })
    .await;
    // Once with `a` alone, then with `a`, `count` and `late`.
    assert_eq!(made["data"]["count"], "3");
}

#[tokio::test]
async fn what_a_policy_cannot_do_is_refused() {
    let cluster = cluster().await;
    let spec = json!({ "mutations": [{ "patchType": "JSONPatch", "jsonPatch": { "expression":
        "[JSONPatch{op: 'replace', path: '/data/missing', value: 'x'}]",
    } }] });
    enforce(&cluster, "broken", "configmaps", &spec).await;
    let refused = once(&cluster, MAPS, &map("c", &json!({ "a": "1" })), is_refused).await;
    let message = refused["message"].as_str().unwrap();
    assert!(
        message
            .contains("policy 'broken' with binding 'broken' denied request: error applying patch"),
        "{message}"
    );
}

#[tokio::test]
async fn mistakes_are_found_when_a_policy_is_written() {
    let cluster = cluster().await;
    for (mutation, words) in [
        (
            json!({ "patchType": "ApplyConfiguration", "applyConfiguration": { "expression": "1" } }),
            "spec.mutations[0].applyConfiguration.expression: Invalid value: \"1\": must evaluate to Object",
        ),
        (
            json!({ "patchType": "JSONPatch", "jsonPatch": { "expression": "true" } }),
            "must evaluate to list(JSONPatch)",
        ),
        (
            json!({ "patchType": "JSONPatch" }),
            "spec.mutations[0].jsonPatch: Required value",
        ),
    ] {
        let policy = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy",
            "metadata": { "name": "m" },
            "spec": { "reinvocationPolicy": "Never", "mutations": [mutation],
                "matchConstraints": { "resourceRules": [{ "apiGroups": [""], "apiVersions": ["v1"],
                    "resources": ["pods"], "operations": ["CREATE"] }] } },
        });
        let path = format!("{GROUP}/mutatingadmissionpolicies");
        let refused = cluster.ask(Method::POST, &path, &policy).await;
        let message = refused["message"].as_str().unwrap();
        assert!(message.contains(words), "{message}");
    }
}

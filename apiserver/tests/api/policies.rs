//! Admission by policies, with the examples of Kubernetes' documentation.

mod mutating;

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use apiserver::User;

use crate::cluster::{Cluster, ask_as};

const GROUP: &str = "/apis/admissionregistration.k8s.io/v1";
const MAPS: &str = "/api/v1/namespaces/g/configmaps";

async fn cluster() -> Cluster {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    cluster
}

async fn make(cluster: &Cluster, path: &str, object: &Value) -> Value {
    let made = cluster.ask(Method::POST, path, object).await;
    assert_eq!(made["kind"], object["kind"], "{made}");
    made
}

fn map(name: &str, data: &Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": data })
}

fn policy(spec: &Value) -> Value {
    let mut whole = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": { "name": "p.example.com" },
        "spec": { "failurePolicy": "Fail", "matchConstraints": { "resourceRules": [{
            "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps", "configmaps/*"],
            "operations": ["*"],
        }] } },
    });
    for (field, value) in spec.as_object().unwrap() {
        whole["spec"][field] = value.clone();
    }
    whole
}

fn binding(spec: &Value) -> Value {
    let mut whole = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": { "name": "b.example.com" },
        "spec": { "policyName": "p.example.com", "validationActions": ["Deny"] },
    });
    for (field, value) in spec.as_object().unwrap() {
        whole["spec"][field] = value.clone();
    }
    whole
}

/// Puts a policy in force.
async fn enforce(cluster: &Cluster, of_policy: &Value, of_binding: &Value) {
    let policies = format!("{GROUP}/validatingadmissionpolicies");
    let bindings = format!("{GROUP}/validatingadmissionpolicybindings");
    make(cluster, &policies, &policy(of_policy)).await;
    make(cluster, &bindings, &binding(of_binding)).await;
}

/// The answer to a request that a policy is to change: the server follows its store, so
/// a moment may pass.
async fn once(
    cluster: &Cluster,
    path: &str,
    object: &Value,
    expected: impl Fn(&Value) -> bool,
) -> Value {
    let path = format!("{path}?dryRun=All");
    let mut answer = Value::Null;
    for _ in 0..250 {
        answer = cluster.ask(Method::POST, &path, object).await;
        if expected(&answer) {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("not as expected: {answer}");
}

fn is_refused(answer: &Value) -> bool {
    answer["status"] == "Failure"
}

#[tokio::test]
async fn what_a_policy_forbids_is_refused_in_its_words() {
    let cluster = cluster().await;
    let spec = json!({ "validations": [
        { "expression": "!has(object.data) || size(object.data) <= 1" },
    ] });
    enforce(&cluster, &spec, &json!({})).await;
    let two = map("c", &json!({ "a": "1", "b": "2" }));
    let refused = once(&cluster, MAPS, &two, is_refused).await;
    assert_eq!(
        (&refused["code"], &refused["reason"]),
        (&json!(422), &json!("Invalid"))
    );
    let words = "ValidatingAdmissionPolicy 'p.example.com' with binding 'b.example.com' denied \
                 request: failed expression: !has(object.data) || size(object.data) <= 1";
    let message = format!("configmaps \"c\" is forbidden: {words}");
    assert_eq!(refused["message"], message);
    assert_eq!(refused["details"]["causes"][0]["message"], words);
    make(&cluster, MAPS, &map("c", &json!({ "a": "1" }))).await;
    let changed = cluster.ask(Method::PUT, &format!("{MAPS}/c"), &two).await;
    assert_eq!(changed["code"], 422, "{changed}");
}

#[tokio::test]
async fn messages_and_reasons_are_the_policys_own() {
    let cluster = cluster().await;
    let spec = json!({
        "variables": [
            { "name": "count", "expression": "size(object.data)" },
            { "name": "isMany", "expression": "variables.count > 1" },
        ],
        "validations": [{
            "expression": "!variables.isMany", "reason": "Forbidden", "message": "too many",
            "messageExpression": "'has ' + string(variables.count) + ' in ' + namespaceObject.metadata.name",
        }],
    });
    enforce(&cluster, &spec, &json!({})).await;
    let two = map("c", &json!({ "a": "1", "b": "2" }));
    let refused = once(&cluster, MAPS, &two, is_refused).await;
    assert_eq!(refused["code"], 403);
    let message = refused["message"].as_str().unwrap();
    assert!(message.ends_with("denied request: has 2 in g"), "{message}");
}

#[tokio::test]
async fn parameters_come_from_the_binding() {
    let cluster = cluster().await;
    make(&cluster, MAPS, &map("limit", &json!({ "max": "2" }))).await;
    let spec = json!({
        "paramKind": { "apiVersion": "v1", "kind": "ConfigMap" },
        "matchConditions": [{ "name": "not-limit", "expression": "request.name != 'limit'" }],
        "validations": [{
            "expression": "size(object.data) <= int(params.data.max)",
            "messageExpression": "'at most ' + params.data.max",
        }],
    });
    let reference = json!({ "name": "limit", "parameterNotFoundAction": "Deny" });
    enforce(&cluster, &spec, &json!({ "paramRef": reference })).await;
    let three = map("c", &json!({ "a": "1", "b": "2", "c": "3" }));
    let refused = once(&cluster, MAPS, &three, is_refused).await;
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .ends_with("denied request: at most 2"),
        "{refused}"
    );
    make(&cluster, MAPS, &map("c", &json!({ "a": "1" }))).await;
    cluster
        .ask(Method::DELETE, &format!("{MAPS}/limit"), &Value::Null)
        .await;
    let refused = cluster.ask(Method::POST, MAPS, &map("d", &json!({}))).await;
    let words = "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction";
    assert!(
        refused["message"].as_str().unwrap().ends_with(words),
        "{refused}"
    );
}

#[tokio::test]
async fn what_cannot_be_evaluated_is_refused_unless_failures_are_ignored() {
    for (failure, expected) in [("Fail", true), ("Ignore", false)] {
        let cluster = cluster().await;
        let spec = json!({ "failurePolicy": failure, "validations": [
            { "expression": "object.data.missing == 'x'" },
            { "expression": "object.metadata.name != 'never'" },
        ] });
        enforce(&cluster, &spec, &json!({})).await;
        // The second rule says when the policy is in force.
        once(
            &cluster,
            MAPS,
            &map("never", &json!({ "a": "1" })),
            is_refused,
        )
        .await;
        let answer = cluster
            .ask(Method::POST, MAPS, &map("c", &json!({ "a": "1" })))
            .await;
        assert_eq!(is_refused(&answer), expected, "{answer}");
        if expected {
            let words =
                "expression 'object.data.missing == 'x'' resulted in error: no such key: missing";
            assert!(
                answer["message"].as_str().unwrap().ends_with(words),
                "{answer}"
            );
        }
    }
}

#[tokio::test]
async fn the_binding_says_where_a_policy_is_in_force() {
    let cluster = cluster().await;
    cluster.namespace("other").await;
    let spec = json!({ "validations": [{ "expression": "false" }] });
    let resources = json!({
        "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "g" } },
        "objectSelector": { "matchLabels": { "checked": "yes" } },
    });
    enforce(&cluster, &spec, &json!({ "matchResources": resources })).await;
    let mut checked = map("c", &json!({}));
    checked["metadata"]["labels"] = json!({ "checked": "yes" });
    once(&cluster, MAPS, &checked, is_refused).await;
    make(&cluster, MAPS, &map("c", &json!({}))).await;
    make(&cluster, "/api/v1/namespaces/other/configmaps", &checked).await;
}

#[tokio::test]
async fn who_asks_and_what_else_they_may_do_can_be_asked() {
    let cluster = cluster().await;
    let spec = json!({ "validations": [{ "expression":
        "request.userInfo.username == 'nobody' || \
         !authorizer.group('').resource('configmaps').namespace('g').check('update').allowed() || \
         !authorizer.requestResource.check('get').allowed()",
    }] });
    enforce(&cluster, &spec, &json!({})).await;
    once(&cluster, MAPS, &map("c", &json!({})), is_refused).await;
}

#[tokio::test]
async fn deletes_and_subresources_are_admitted_too() {
    let cluster = cluster().await;
    make(&cluster, MAPS, &map("kept", &json!({}))).await;
    let spec = json!({ "validations": [{
        "expression": "request.operation != 'DELETE' || oldObject.metadata.name != 'kept'",
        "message": "keep it",
    }, { "expression": "request.operation == 'DELETE' || object.metadata.name != 'never'" }] });
    enforce(&cluster, &spec, &json!({})).await;
    once(&cluster, MAPS, &map("never", &json!({})), is_refused).await;
    let path = format!("{MAPS}/kept");
    let refused = cluster.ask(Method::DELETE, &path, &Value::Null).await;
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .ends_with("denied request: keep it"),
        "{refused}"
    );
}

#[tokio::test]
async fn other_versions_of_a_resource_are_meant_too() {
    let cluster = cluster().await;
    let rules = json!({ "resourceRules": [{
        "apiGroups": ["autoscaling"], "apiVersions": ["v2"], "operations": ["CREATE"],
        "resources": ["horizontalpodautoscalers"],
    }] });
    let spec = json!({ "matchConstraints": rules, "validations": [{
        "expression": "object.apiVersion == 'autoscaling/v2' && request.kind.version == 'v2' && \
                       request.requestKind.version == 'v1' && object.spec.maxReplicas <= 5",
    }, { "expression": "object.spec.metrics[0].resource.target.averageUtilization != 77" }] });
    enforce(&cluster, &spec, &json!({})).await;
    let scaler = |name: &str, most: i64, load: i64| {
        json!({
            "apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": { "name": name },
            "spec": {
                "maxReplicas": most, "targetCPUUtilizationPercentage": load,
                "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "d" },
            },
        })
    };
    let path = "/apis/autoscaling/v1/namespaces/g/horizontalpodautoscalers";
    once(&cluster, path, &scaler("s", 3, 77), is_refused).await;
    make(&cluster, path, &scaler("s", 3, 50)).await;
}

#[tokio::test]
async fn mistakes_are_found_when_a_policy_is_written() {
    let cluster = cluster().await;
    let path = format!("{GROUP}/validatingadmissionpolicies");
    for (spec, words) in [
        (
            json!({ "validations": [{ "expression": "object.spec.replicas <" }] }),
            "spec.validations[0].expression: Invalid value: \"object.spec.replicas <\": compilation failed: ERROR: <input>:1:23: Syntax error",
        ),
        (
            json!({ "validations": [{ "expression": "params.x" }] }),
            "compilation failed: ERROR: <input>:1:1: undeclared reference to 'params' (in container '')\n | params.x\n | ^",
        ),
        (
            json!({ "validations": [{ "expression": "object.spec" }] }),
            "spec.validations[0].expression: Invalid value: \"object.spec\": must evaluate to bool",
        ),
        (
            json!({ "validations": [{ "expression": "request.foo" }] }),
            "undefined field 'foo'",
        ),
        (
            json!({ "validations": [{ "expression": "true", "messageExpression": "1" }] }),
            "spec.validations[0].messageExpression: Invalid value: \"1\": must evaluate to string",
        ),
        (
            json!({ "validations": [{ "expression": "variables.b" }], "variables": [
                { "name": "a", "expression": "variables.b" }, { "name": "b", "expression": "true" } ] }),
            "spec.variables[0].expression: Invalid value: \"variables.b\": compilation failed: ERROR: <input>:1:1: undeclared reference to 'variables'",
        ),
        (
            json!({ "validations": [{ "expression": "true" }],
                "matchConditions": [{ "name": "m", "expression": "1" }] }),
            "spec.matchConditions[0].expression: Invalid value: \"1\": must evaluate to bool",
        ),
        (
            json!({ "auditAnnotations": [{ "key": "k", "valueExpression": "1" }] }),
            "spec.auditAnnotations[0].valueExpression: Invalid value: \"1\": must evaluate to one of [string null]",
        ),
    ] {
        let refused = cluster.ask(Method::POST, &path, &policy(&spec)).await;
        assert_eq!(refused["reason"], "Invalid", "{refused}");
        let message = refused["message"].as_str().unwrap();
        assert!(message.contains(words), "{message}");
    }
}

#[tokio::test]
async fn webhooks_match_conditions_are_expressions_too() {
    let cluster = cluster().await;
    let path = format!("{GROUP}/validatingwebhookconfigurations");
    let webhook = |condition: &str| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": { "name": "w" },
            "webhooks": [{
                "name": "w.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
                // Nobody listens there: whoever is meant is refused.
                "clientConfig": { "url": "https://127.0.0.1:1/" }, "timeoutSeconds": 1,
                "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
                    "resources": ["configmaps"] }],
                "matchConditions": [{ "name": "c", "expression": condition }],
            }],
        })
    };
    let refused = cluster.ask(Method::POST, &path, &webhook("objekt")).await;
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("undeclared reference to 'objekt'"),
        "{refused}"
    );
    make(&cluster, &path, &webhook("object.data.a == 'meant'")).await;
    once(&cluster, MAPS, &map("c", &json!({ "a": "meant" })), |a| {
        a["code"] == 500
    })
    .await;
    make(&cluster, MAPS, &map("c", &json!({ "a": "other" }))).await;
    let unclear = cluster.ask(Method::POST, MAPS, &map("d", &json!({}))).await;
    assert!(
        unclear["message"].as_str().unwrap().contains("no such key"),
        "{unclear}"
    );
}

/// On the runtime servers have, where long evaluations make way for other tasks.
#[tokio::test(flavor = "multi_thread")]
async fn an_expression_that_would_take_for_ever_is_stopped() {
    let cluster = cluster().await;
    let spec = json!({ "validations": [{ "expression":
        "object.data.all(a, object.data.all(b, object.data.all(c, object.data.all(d, a != '!'))))",
    }] });
    enforce(&cluster, &spec, &json!({})).await;
    let data: serde_json::Map<_, _> = (0..300).map(|i| (format!("k{i}"), json!("v"))).collect();
    let refused = once(&cluster, MAPS, &map("c", &data.into()), is_refused).await;
    let words = "resulted in error: operation cancelled: actual cost limit exceeded";
    let message = refused["message"].as_str().unwrap();
    assert!(message.ends_with(words), "{message}");
}

#[tokio::test]
async fn expressions_are_checked_against_the_kinds_that_rules_name() {
    let cluster = cluster().await;
    let rules = json!({ "resourceRules": [{
        "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"],
        "resources": ["deployments", "replicasets"],
    }] });
    let spec = json!({ "matchConstraints": rules, "validations": [
        { "expression": "object.spec.replicas > 1" },
        { "expression": "object.spec.replicas > '1'" },
        { "expression": "object.spec.strategy.type == 'Recreate'" },
    ] });
    let path = format!("{GROUP}/validatingadmissionpolicies");
    let mut made = make(&cluster, &path, &policy(&spec)).await;
    let warnings = &made["status"]["typeChecking"]["expressionWarnings"];
    assert_eq!(warnings[0]["fieldRef"], "spec.validations[1].expression");
    let both = "apps/v1, Kind=Deployment: ERROR: <input>:1:22: found no matching overload for \
                '_>_' applied to '(int, string)'\n | object.spec.replicas > '1'\n | \
                .....................^\napps/v1, Kind=ReplicaSet: ERROR: ";
    assert!(
        warnings[0]["warning"].as_str().unwrap().starts_with(both),
        "{warnings}"
    );
    let one = "apps/v1, Kind=ReplicaSet: ERROR: <input>:1:12: undefined field 'strategy'";
    assert!(
        warnings[1]["warning"].as_str().unwrap().starts_with(one),
        "{warnings}"
    );
    assert_eq!(made["status"]["observedGeneration"], 1);
    made["spec"]["validations"] = json!([{ "expression": "object.spec.replicas > 1" }]);
    let path = format!("{path}/p.example.com");
    let mended = cluster.ask(Method::PUT, &path, &made).await;
    assert_eq!(
        mended["status"],
        json!({ "observedGeneration": 2, "typeChecking": {} }),
        "{mended}"
    );
}

#[tokio::test]
async fn only_who_may_read_parameters_may_have_policies_read_them() {
    let cluster = cluster().await;
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": { "name": "r" },
        "rules": [{ "apiGroups": ["admissionregistration.k8s.io"], "resources": ["*"], "verbs": ["*"] }],
    });
    let bound = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": { "name": "r" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "u" }],
    });
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    make(&cluster, &format!("{rbac}/clusterroles"), &role).await;
    make(&cluster, &format!("{rbac}/clusterrolebindings"), &bound).await;
    let client = cluster
        .server
        .client_as(User::new("u", ["system:authenticated".to_owned()]));
    let mut spec = json!({ "validations": [{ "expression": "true" }],
        "paramKind": { "apiVersion": "v1", "kind": "Secret" } });
    let path = format!("{GROUP}/validatingadmissionpolicies");
    let mut refused = Value::Null;
    for _ in 0..250 {
        refused = ask_as(&client, Method::POST, &path, &policy(&spec)).await;
        // The role takes a moment to be seen.
        if refused["message"]
            .as_str()
            .is_some_and(|m| m.contains("paramKind"))
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let words = "user u must have \"get\" permission on all objects of the referenced paramKind (kind=Secret, apiVersion=v1)";
    assert!(
        refused["message"].as_str().unwrap().ends_with(words),
        "{refused}"
    );
    spec.as_object_mut().unwrap().remove("paramKind");
    let made = ask_as(&client, Method::POST, &path, &policy(&spec)).await;
    assert_eq!(made["kind"], "ValidatingAdmissionPolicy", "{made}");
}

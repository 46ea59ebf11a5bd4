//! Admission plugins that every cluster has, each refusing once.

use http::Method;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::extension::base64;

async fn post(cluster: &Cluster, path: &str, object: &Value) -> Value {
    cluster.ask(Method::POST, path, object).await
}

async fn with_namespace() -> Cluster {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    cluster
}

fn claim(name: &str, size: &str, class: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": name },
        "spec": { "accessModes": ["ReadWriteOnce"], "storageClassName": class,
            "resources": { "requests": { "storage": size } } } })
}

#[tokio::test]
async fn a_claim_grows_only_where_its_class_lets_it() {
    let cluster = with_namespace().await;
    for (name, expands) in [("stiff", false), ("soft", true)] {
        let class = json!({ "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": { "name": name }, "provisioner": "p", "allowVolumeExpansion": expands });
        post(&cluster, "/apis/storage.k8s.io/v1/storageclasses", &class).await;
        let claims = "/api/v1/namespaces/g/persistentvolumeclaims";
        let made = post(&cluster, claims, &claim(name, "1Gi", name)).await;
        assert_eq!(made["kind"], "PersistentVolumeClaim", "{made}");
        let bound = json!({ "status": { "phase": "Bound" } });
        let path = format!("{claims}/{name}");
        cluster
            .ask(Method::PATCH, &format!("{path}/status"), &bound)
            .await;
        let larger = json!({ "spec": { "resources": { "requests": { "storage": "2Gi" } } } });
        let answer = cluster.ask(Method::PATCH, &path, &larger).await;
        if expands {
            assert_eq!(
                answer["spec"]["resources"]["requests"]["storage"], "2Gi",
                "{answer}"
            );
        } else {
            assert_eq!(
                answer["message"],
                "persistentvolumeclaims \"stiff\" is forbidden: only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"
            );
        }
    }
}

async fn limit_range(cluster: &Cluster, item: &Value) {
    let range = json!({ "apiVersion": "v1", "kind": "LimitRange", "metadata": { "name": "l" },
        "spec": { "limits": [item] } });
    let made = post(cluster, "/api/v1/namespaces/g/limitranges", &range).await;
    assert_eq!(made["kind"], "LimitRange", "{made}");
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
}

#[tokio::test]
async fn a_claim_stays_within_its_namespaces_bounds() {
    let cluster = with_namespace().await;
    let class = json!({ "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": { "name": "soft" }, "provisioner": "p", "allowVolumeExpansion": true });
    post(&cluster, "/apis/storage.k8s.io/v1/storageclasses", &class).await;
    let item = json!({ "type": "PersistentVolumeClaim", "max": { "storage": "2Gi" } });
    limit_range(&cluster, &item).await;
    let over = "persistentvolumeclaims \"c\" is forbidden: maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi";
    let claims = "/api/v1/namespaces/g/persistentvolumeclaims";
    let refused = post(&cluster, claims, &claim("c", "3Gi", "soft")).await;
    assert_eq!(refused["message"], over);
    let made = post(&cluster, claims, &claim("c", "1Gi", "soft")).await;
    assert_eq!(made["kind"], "PersistentVolumeClaim", "{made}");
    let path = format!("{claims}/c");
    let bound = json!({ "status": { "phase": "Bound" } });
    cluster
        .ask(Method::PATCH, &format!("{path}/status"), &bound)
        .await;
    let larger = json!({ "spec": { "resources": { "requests": { "storage": "3Gi" } } } });
    let refused = cluster.ask(Method::PATCH, &path, &larger).await;
    assert_eq!(refused["message"], over);
}

#[tokio::test]
async fn a_pod_that_a_policy_brings_within_the_bounds_is_taken() {
    let cluster = with_namespace().await;
    cluster.service_account("g").await;
    let group = "/apis/admissionregistration.k8s.io/v1";
    let policy = json!({ "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicy", "metadata": { "name": "p" },
        "spec": { "failurePolicy": "Fail", "reinvocationPolicy": "Never",
            "matchConstraints": { "resourceRules": [{ "apiGroups": [""], "apiVersions": ["v1"],
                "resources": ["pods"], "operations": ["CREATE"] }] },
            "mutations": [{ "patchType": "JSONPatch", "jsonPatch": { "expression":
                "[JSONPatch{op: 'add', path: '/spec/containers/0/resources', value: {'limits': {'cpu': '1'}}}]" } }] } });
    let path = format!("{group}/mutatingadmissionpolicies");
    let made = post(&cluster, &path, &policy).await;
    assert_eq!(made["kind"], "MutatingAdmissionPolicy", "{made}");
    let binding = json!({ "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicyBinding", "metadata": { "name": "p" },
        "spec": { "policyName": "p" } });
    let path = format!("{group}/mutatingadmissionpolicybindings");
    let made = post(&cluster, &path, &binding).await;
    assert_eq!(made["kind"], "MutatingAdmissionPolicyBinding", "{made}");
    let item = json!({ "type": "Container", "max": { "cpu": "1" } });
    limit_range(&cluster, &item).await;
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p" },
        "spec": { "containers": [{ "name": "c", "image": "i",
            "resources": { "limits": { "cpu": "2" } } }] } });
    // The server follows its store: a moment may pass before the policy holds.
    let mut answer = Value::Null;
    for _ in 0..100 {
        answer = post(&cluster, "/api/v1/namespaces/g/pods?dryRun=All", &pod).await;
        if answer["kind"] == "Pod" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let limits = &answer["spec"]["containers"][0]["resources"]["limits"];
    assert_eq!(limits["cpu"], "1", "{answer}");
}

#[tokio::test]
async fn one_priority_class_is_everybodys() {
    let cluster = Cluster::start().await;
    let class = |name: &str| {
        json!({ "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
            "metadata": { "name": name }, "value": 5, "globalDefault": true })
    };
    let path = "/apis/scheduling.k8s.io/v1/priorityclasses";
    let made = post(&cluster, path, &class("a")).await;
    assert_eq!(made["kind"], "PriorityClass", "{made}");
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let refused = post(&cluster, path, &class("b")).await;
    assert_eq!(
        refused["message"],
        "priorityclasses.scheduling.k8s.io \"b\" is forbidden: PriorityClass a is already marked as default. Only one default can exist"
    );
}

#[tokio::test]
async fn nobody_asks_for_a_certificate_of_the_masters() {
    let cluster = Cluster::start().await;
    let (csr, _) = pki::make_csr(&pki::Request {
        common_name: "jane".into(),
        organizations: vec!["system:masters".into()],
        ..pki::Request::default()
    })
    .unwrap();
    let request = json!({ "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
        "metadata": { "name": "c" }, "spec": {
            "request": base64(csr.as_bytes()), "signerName": "kubernetes.io/kube-apiserver-client",
            "usages": ["client auth"] } });
    let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let refused = post(&cluster, path, &request).await;
    assert_eq!(
        refused["message"],
        "certificatesigningrequests.certificates.k8s.io \"c\" is forbidden: use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"
    );
}

#[tokio::test]
async fn a_pod_of_an_unknown_runtime_class_is_refused() {
    let cluster = with_namespace().await;
    let account =
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "default" } });
    post(&cluster, "/api/v1/namespaces/g/serviceaccounts", &account).await;
    let mut pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "generateName": "p-" },
        "spec": { "runtimeClassName": "none", "containers": [{ "name": "c", "image": "i" }] } });
    let refused = post(&cluster, "/api/v1/namespaces/g/pods", &pod).await;
    assert_eq!(
        refused["message"],
        "pods \"p-\" is forbidden: pod rejected: RuntimeClass \"none\" not found"
    );
    let class = json!({ "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": { "name": "none" },
        "handler": "h", "overhead": { "podFixed": { "cpu": "10m" } } });
    post(&cluster, "/apis/node.k8s.io/v1/runtimeclasses", &class).await;
    let made = post(&cluster, "/api/v1/namespaces/g/pods", &pod).await;
    assert_eq!(made["spec"]["overhead"]["cpu"], "10m", "{made}");
    pod["spec"]["overhead"] = json!({ "cpu": "1" });
    let refused = post(&cluster, "/api/v1/namespaces/g/pods", &pod).await;
    assert_eq!(
        refused["message"],
        "pods \"p-\" is forbidden: pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"
    );
}

/// Waits until the quota shows that so much is used.
async fn wait_for_used(cluster: &Cluster, name: &str, wanted: &str) {
    let path = "/api/v1/namespaces/g/resourcequotas/q";
    let mut last = Value::Null;
    for _ in 0..100 {
        last = cluster.get(path).await["status"].clone();
        if last["used"][name] == wanted {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    panic!("{name} is not {wanted}: {last}");
}

async fn quota(cluster: &Cluster, hard: &Value) {
    let quota = json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "q" },
        "spec": { "hard": hard } });
    let made = post(cluster, "/api/v1/namespaces/g/resourcequotas", &quota).await;
    assert_eq!(made["kind"], "ResourceQuota", "{made}");
}

#[tokio::test]
async fn a_quota_shows_what_comes_and_goes() {
    let cluster = with_namespace().await;
    let maps = "/api/v1/namespaces/g/configmaps";
    let map = |name: &str| json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name } });
    post(&cluster, maps, &map("before")).await;
    quota(
        &cluster,
        &json!({ "configmaps": "3", "count/leases.coordination.k8s.io": "1" }),
    )
    .await;
    wait_for_used(&cluster, "configmaps", "1").await;
    wait_for_used(&cluster, "count/leases.coordination.k8s.io", "0").await;
    post(&cluster, maps, &map("after")).await;
    wait_for_used(&cluster, "configmaps", "2").await;
    let path = format!("{maps}/before");
    cluster.ask(Method::DELETE, &path, &Value::Null).await;
    wait_for_used(&cluster, "configmaps", "1").await;
}

#[tokio::test]
async fn a_change_may_not_use_more_than_is_left() {
    let cluster = with_namespace().await;
    quota(&cluster, &json!({ "services.nodeports": "1" })).await;
    wait_for_used(&cluster, "services.nodeports", "0").await;
    let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "s" },
        "spec": { "ports": [{ "name": "a", "port": 80 }, { "name": "b", "port": 81 }] } });
    let path = "/api/v1/namespaces/g/services";
    let made = post(&cluster, path, &service).await;
    assert_eq!(made["kind"], "Service", "{made}");
    let change = json!({ "spec": { "type": "NodePort" } });
    let refused = cluster
        .ask(Method::PATCH, &format!("{path}/s"), &change)
        .await;
    assert_eq!(
        refused["message"],
        "services \"s\" is forbidden: exceeded quota: q, requested: services.nodeports=2, used: services.nodeports=0, limited: services.nodeports=1"
    );
}

#[tokio::test]
async fn of_changes_at_once_no_more_go_through_than_there_is_room_for() {
    let cluster = with_namespace().await;
    quota(&cluster, &json!({ "services.nodeports": "2" })).await;
    wait_for_used(&cluster, "services.nodeports", "0").await;
    let path = "/api/v1/namespaces/g/services";
    let names: Vec<String> = (0..12).map(|n| format!("s{n}")).collect();
    for name in &names {
        let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
            "spec": { "ports": [{ "port": 80 }] } });
        let made = post(&cluster, path, &service).await;
        assert_eq!(made["kind"], "Service", "{made}");
    }
    let change = json!({ "spec": { "type": "NodePort" } });
    let changes = names.iter().map(|name| {
        let path = format!("{path}/{name}");
        let (cluster, change) = (&cluster, &change);
        async move { cluster.ask(Method::PATCH, &path, change).await }
    });
    let answers = futures::future::join_all(changes).await;
    let done = answers.iter().filter(|answer| answer["kind"] == "Service");
    assert_eq!(done.count(), 2, "{answers:?}");
    wait_for_used(&cluster, "services.nodeports", "2").await;
}

#[tokio::test]
async fn a_pod_under_a_quota_says_what_each_container_wants() {
    let cluster = with_namespace().await;
    let account =
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "default" } });
    post(&cluster, "/api/v1/namespaces/g/serviceaccounts", &account).await;
    quota(
        &cluster,
        &json!({ "limits.cpu": "1", "requests.memory": "1Gi" }),
    )
    .await;
    wait_for_used(&cluster, "limits.cpu", "0").await;
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p" }, "spec": { "containers": [
        { "name": "a", "image": "i", "resources": { "limits": { "cpu": "1", "memory": "1Mi" } } },
        { "name": "b", "image": "i", "resources": { "requests": { "memory": "1Mi" } } }] } });
    let refused = post(&cluster, "/api/v1/namespaces/g/pods", &pod).await;
    assert_eq!(
        refused["message"],
        "pods \"p\" is forbidden: failed quota: q: must specify limits.cpu for: b"
    );
}

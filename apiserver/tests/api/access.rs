use apiserver::User;
use http::Method;
use serde_json::{Value, json};

use crate::cluster::{Cluster, ask_as};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/g";

async fn with_reader() -> Cluster {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    let role = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": { "name": "reader" },
        "rules": [{ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"] }] });
    cluster
        .ask(Method::POST, &format!("{RBAC}/roles"), &role)
        .await;
    let binding = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": { "name": "readers" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader" },
        "subjects": [{ "kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "ann" }] });
    cluster
        .ask(Method::POST, &format!("{RBAC}/rolebindings"), &binding)
        .await;
    cluster
}

pub async fn as_user(
    cluster: &Cluster,
    name: &str,
    method: Method,
    path: &str,
    body: &Value,
) -> Value {
    let user = User::new(name, ["system:authenticated".to_owned()]);
    ask_as(&cluster.server.client_as(user), method, path, body).await
}

/// Roles travel to the authorizer by watch: a moment after the write.
async fn eventually(cluster: &Cluster, name: &str, path: &str) -> Value {
    for _ in 0..100 {
        let got = as_user(cluster, name, Method::GET, path, &Value::Null).await;
        if got["code"].is_null() {
            return got;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    as_user(cluster, name, Method::GET, path, &Value::Null).await
}

#[tokio::test]
async fn a_role_allows_what_it_says_where_it_is_bound() {
    let cluster = with_reader().await;
    let list = eventually(&cluster, "ann", "/api/v1/namespaces/g/configmaps").await;
    assert_eq!(list["kind"], "ConfigMapList");
    let refused = as_user(
        &cluster,
        "ann",
        Method::GET,
        "/api/v1/namespaces/default/configmaps",
        &Value::Null,
    )
    .await;
    assert_eq!(
        refused["message"],
        "configmaps is forbidden: User \"ann\" cannot list resource \"configmaps\" in API group \"\" in the namespace \"default\""
    );
}

#[tokio::test]
async fn nobody_hands_out_what_they_do_not_hold() {
    let cluster = with_reader().await;
    let role = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": { "name": "roles" },
        "rules": [{ "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["get", "list", "create"] }] });
    cluster
        .ask(Method::POST, &format!("{RBAC}/roles"), &role)
        .await;
    let binding = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": { "name": "roles" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "roles" },
        "subjects": [{ "kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "ann" }] });
    cluster
        .ask(Method::POST, &format!("{RBAC}/rolebindings"), &binding)
        .await;
    eventually(&cluster, "ann", &format!("{RBAC}/roles")).await;
    let more = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": { "name": "more" },
        "rules": [{ "apiGroups": [""], "resources": ["secrets"], "verbs": ["get"] }] });
    let refused = as_user(
        &cluster,
        "ann",
        Method::POST,
        &format!("{RBAC}/roles"),
        &more,
    )
    .await;
    assert_eq!(refused["code"], 403);
    let same = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": { "name": "same" },
        "rules": [{ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"] }] });
    let made = as_user(
        &cluster,
        "ann",
        Method::POST,
        &format!("{RBAC}/roles"),
        &same,
    )
    .await;
    assert_eq!(made["kind"], "Role");
}

#[tokio::test]
async fn a_node_reads_no_secret_that_its_pods_do_not_use() {
    let cluster = Cluster::start().await;
    let node = User::new(
        "system:node:n1",
        ["system:nodes".to_owned(), "system:authenticated".to_owned()],
    );
    let client = cluster.server.client_as(node);
    let secret = ask_as(
        &client,
        Method::GET,
        "/api/v1/namespaces/default/secrets/s",
        &Value::Null,
    )
    .await;
    assert_eq!(secret["code"], 403);
    let own = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n1" } });
    assert_eq!(
        ask_as(&client, Method::POST, "/api/v1/nodes", &own).await["kind"],
        "Node"
    );
    let other = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n2" } });
    assert_eq!(
        ask_as(&client, Method::POST, "/api/v1/nodes", &other).await["code"],
        403
    );
}

#[tokio::test]
async fn a_service_accounts_token_ends_with_the_account() {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    let path = "/api/v1/namespaces/g/serviceaccounts";
    let account =
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "sa" } });
    cluster.ask(Method::POST, path, &account).await;
    let request =
        json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} });
    let made = cluster
        .ask(Method::POST, &format!("{path}/sa/token"), &request)
        .await;
    let token = made["status"]["token"].as_str().unwrap();
    let review = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": { "token": token } });
    let reviews = "/apis/authentication.k8s.io/v1/tokenreviews";
    let good = cluster.ask(Method::POST, reviews, &review).await;
    assert_eq!(
        good["status"]["user"]["username"],
        "system:serviceaccount:g:sa"
    );
    cluster
        .ask(Method::DELETE, &format!("{path}/sa"), &Value::Null)
        .await;
    let ended = cluster.ask(Method::POST, reviews, &review).await;
    assert!(ended["status"]["authenticated"].is_null());
}

#[tokio::test]
async fn default_roles_are_mended_at_each_start_and_what_was_added_stays() {
    let cluster = Cluster::start().await;
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    let own = json!({ "apiGroups": ["example.com"], "resources": ["widgets"], "verbs": ["get"] });
    let path = format!("{roles}/system:basic-user");
    cluster
        .ask(Method::PATCH, &path, &json!({ "rules": [own] }))
        .await;
    let off = json!({ "metadata": { "annotations": { "rbac.authorization.kubernetes.io/autoupdate": "false" } }, "rules": [] });
    let kept = format!("{roles}/system:discovery");
    cluster.ask(Method::PATCH, &kept, &off).await;
    let bound = format!("{bindings}/cluster-admin");
    cluster
        .ask(Method::PATCH, &bound, &json!({ "subjects": [] }))
        .await;
    let gone = format!("{roles}/view");
    cluster.ask(Method::DELETE, &gone, &Value::Null).await;
    let cluster = Cluster::start_in(cluster.stop().await, 0).await.unwrap();
    let mended = cluster.get(&path).await;
    let rules = mended["rules"].as_array().unwrap();
    assert_eq!(rules[0], own);
    assert_eq!(rules.len(), 3, "{rules:?}");
    assert!(cluster.get(&kept).await["rules"].is_null());
    assert_eq!(
        cluster.get(&bound).await["subjects"][0]["name"],
        "system:masters"
    );
    assert_eq!(cluster.get(&gone).await["kind"], "ClusterRole");
    let before = mended["metadata"]["resourceVersion"].clone();
    let cluster = Cluster::start_in(cluster.stop().await, 0).await.unwrap();
    let after = cluster.get(&path).await["metadata"]["resourceVersion"].clone();
    assert_eq!(before, after, "a role that lacks nothing is not written");
}

async fn bind_rules(cluster: &Cluster, rules: Value) {
    let role = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": { "name": "anns" }, "rules": rules });
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    cluster.ask(Method::POST, roles, &role).await;
    let binding = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": { "name": "anns" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "anns" },
        "subjects": [{ "kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "ann" }] });
    let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    cluster.ask(Method::POST, bindings, &binding).await;
    eventually(cluster, "ann", roles).await;
}

#[tokio::test]
async fn a_role_that_gathers_others_is_made_by_who_may_do_all() {
    let cluster = Cluster::start().await;
    let but_escalate = json!({ "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"],
        "verbs": ["get", "list", "create", "update"] });
    bind_rules(&cluster, json!([but_escalate])).await;
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    let gathers = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": { "name": "all" },
        "aggregationRule": { "clusterRoleSelectors": [{ "matchLabels": { "a": "b" } }] } });
    let refused = as_user(&cluster, "ann", Method::POST, roles, &gathers).await;
    assert_eq!(refused["code"], 403);
    let message = refused["message"].as_str().unwrap();
    let words = "user \"ann\" (groups=[\"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"*\"], Resources:[\"*\"], Verbs:[\"*\"]}";
    assert!(message.contains(words), "{message}");
}

#[tokio::test]
async fn a_role_is_relabelled_by_who_does_not_hold_what_it_grants() {
    let cluster = Cluster::start().await;
    let may = json!({ "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "verbs": ["get", "list", "patch"] });
    bind_rules(&cluster, json!([may])).await;
    let view = "/apis/rbac.authorization.k8s.io/v1/clusterroles/view";
    let label = json!({ "metadata": { "labels": { "seen": "by-ann" } } });
    let changed = as_user(&cluster, "ann", Method::PATCH, view, &label).await;
    assert_eq!(changed["metadata"]["labels"]["seen"], "by-ann", "{changed}");
    let more =
        json!({ "rules": [{ "apiGroups": [""], "resources": ["secrets"], "verbs": ["get"] }] });
    let refused = as_user(&cluster, "ann", Method::PATCH, view, &more).await;
    assert_eq!(refused["code"], 403);
}

#[tokio::test]
async fn a_node_evicts_its_own_pods_and_asks_for_its_own_certificate() {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    cluster.service_account("g").await;
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p" },
        "spec": { "nodeName": "n1", "containers": [{ "name": "c", "image": "i" }] } });
    cluster
        .ask(Method::POST, "/api/v1/namespaces/g/pods", &pod)
        .await;
    let groups = ["system:nodes".to_owned(), "system:authenticated".to_owned()];
    let node = |name: &str| {
        let user = User::new(format!("system:node:{name}"), groups.clone());
        cluster.server.client_as(user)
    };
    let eviction =
        json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": "p" } });
    let path = "/api/v1/namespaces/g/pods/p/eviction";
    let refused = ask_as(&node("n2"), Method::POST, path, &eviction).await;
    assert_eq!(refused["code"], 403, "{refused}");
    let done = ask_as(&node("n1"), Method::POST, path, &eviction).await;
    assert_eq!(done["code"], 201, "{done}");
    let ask = async |name: &str| {
        use base64::Engine as _;
        let wanted = pki::Request {
            common_name: format!("system:node:{name}"),
            organizations: vec!["system:nodes".into()],
            ..pki::Request::default()
        };
        let (pem, _) = pki::make_csr(&wanted).unwrap();
        let pem = base64::engine::general_purpose::STANDARD.encode(pem);
        let request = json!({ "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
            "metadata": { "generateName": "r-" }, "spec": { "request": pem, "usages": ["client auth"],
                "signerName": "kubernetes.io/kube-apiserver-client-kubelet" } });
        let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
        ask_as(&node("n1"), Method::POST, path, &request).await["code"].as_u64()
    };
    assert_eq!(ask("n1").await, None);
    assert_eq!(ask("n2").await, Some(403));
}

#[tokio::test]
async fn a_review_narrows_by_selectors_that_make_sense() {
    let cluster = Cluster::start().await;
    let reviews = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let review = |selector: Value| {
        json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": { "user": "system:node:n1", "groups": ["system:nodes"],
            "resourceAttributes": { "verb": "list", "resource": "pods", "fieldSelector": selector } } })
    };
    let of_node = |name: &str| json!({ "requirements": [{ "key": "spec.nodeName", "operator": "In", "values": [name] }] });
    let own = cluster
        .ask(Method::POST, reviews, &review(of_node("n1")))
        .await;
    assert_eq!(own["status"]["allowed"], true);
    let other = cluster
        .ask(Method::POST, reviews, &review(of_node("n2")))
        .await;
    assert_eq!(other["status"]["allowed"], false);
    let mut both = of_node("n1");
    both["rawSelector"] = "spec.nodeName=n1".into();
    let refused = cluster.ask(Method::POST, reviews, &review(both)).await;
    assert_eq!(refused["code"], 422, "{refused}");
}

#[tokio::test]
async fn who_may_only_get_an_exec_runs_nothing() {
    let cluster = Cluster::start().await;
    let may = json!({ "apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get"] });
    let reads = json!({ "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "verbs": ["list"] });
    bind_rules(&cluster, json!([may, reads])).await;
    let exec = "/api/v1/namespaces/default/pods/p/exec?command=id&stdout=1";
    let refused = as_user(&cluster, "ann", Method::GET, exec, &Value::Null).await;
    assert_eq!(
        refused["message"],
        "pods \"p\" is forbidden: User \"ann\" cannot create resource \"pods/exec\" in API group \"\" in the namespace \"default\""
    );
}

#[tokio::test]
async fn who_may_read_one_secret_lists_no_other_however_it_is_written() {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    let secrets = "/api/v1/namespaces/g/secrets";
    for name in ["mine", "other"] {
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name } });
        cluster.ask(Method::POST, secrets, &secret).await;
    }
    let may = json!({ "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["mine"], "verbs": ["list"] });
    let reads = json!({ "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "verbs": ["list"] });
    bind_rules(&cluster, json!([may, reads])).await;
    let list = async |query: &str| {
        let path = format!("{secrets}?{query}");
        as_user(&cluster, "ann", Method::GET, &path, &Value::Null).await
    };
    let own = list("fieldSelector=metadata.name%3Dmine").await;
    assert_eq!(own["items"].as_array().map(Vec::len), Some(1), "{own}");
    for tricked in [
        "field%53elector=&fieldSelector=metadata.name%3Dmine",
        "fieldSelector=&fieldSelector=metadata.name%3Dmine",
        "fieldSelector=metadata.name!%3Dx%5C,metadata.name%3Dmine",
    ] {
        assert_eq!(list(tricked).await["code"], 403, "{tricked}");
    }
}

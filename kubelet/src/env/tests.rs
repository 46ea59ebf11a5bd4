use std::sync::Arc;

use super::*;
use serde_json::json;

/// One ConfigMap `e1` and one Secret `e2`.
struct Objects;

impl Lookup for Objects {
    async fn config_map(&self, name: &str) -> Result<Option<Arc<ConfigMap>>, Problem> {
        let map = json!({"metadata": {"name": "e1"}, "data": {"a": "1", "1x": "2", "bad=": "3"}});
        Ok((name == "e1").then(|| Arc::new(serde_json::from_value(map).unwrap())))
    }

    async fn secret(&self, name: &str) -> Result<Option<Arc<Secret>>, Problem> {
        let secret = json!({"metadata": {"name": "e2"}, "data": {"b": "czM="}});
        Ok((name == "e2").then(|| Arc::new(serde_json::from_value(secret).unwrap())))
    }
}

async fn env(container: serde_json::Value) -> Result<BTreeMap<String, String>, Problem> {
    let mut container = container;
    container["name"] = json!("c");
    let pod =
        json!({"metadata": {"name": "p", "namespace": "ns"}, "spec": {"containers": [container]}});
    let pod: Pod = serde_json::from_value(pod).unwrap();
    let container = &pod.spec.as_ref().unwrap().containers[0];
    let services = BTreeMap::from([("SVC".to_owned(), "svc".to_owned())]);
    let sources = Sources {
        pod: &pod,
        place: &Place::default(),
        services,
        allocatable: &Allocatable::default(),
        lookup: &Objects,
    };
    of_container(container, sources).await
}

#[tokio::test]
async fn values_expand_what_was_set_before_and_services() {
    let made = env(json!({"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)-$(SVC)"}, {"name": "C", "value": "$(D)"}, {"name": "D", "value": "4"}]})).await.unwrap();
    assert_eq!((made["B"].as_str(), made["C"].as_str()), ("1-svc", "$(D)"));
}

#[tokio::test]
async fn objects_give_all_their_keys_with_the_prefix() {
    let made = env(json!({"envFrom": [{"prefix": "P_", "configMapRef": {"name": "e1"}}, {"secretRef": {"name": "e2"}},
        {"configMapRef": {"name": "none", "optional": true}}]})).await.unwrap();
    let names: Vec<_> = made.keys().map(String::as_str).collect();
    assert_eq!(names, ["P_1x", "P_a", "SVC", "b"]);
    assert_eq!(made["b"], "s3");
}

#[tokio::test]
async fn own_variables_win_over_objects_and_services() {
    let made = env(json!({"envFrom": [{"secretRef": {"name": "e2"}}], "env": [{"name": "b", "value": "own"}, {"name": "SVC", "value": "mine"}]})).await.unwrap();
    assert_eq!((made["b"].as_str(), made["SVC"].as_str()), ("own", "mine"));
}

#[tokio::test]
async fn missing_objects_and_keys_are_named_as_kubernetes_names_them() {
    let from = |source| json!({"env": [{"name": "A", "valueFrom": source}]});
    let message =
        |result: Result<BTreeMap<String, String>, Problem>| result.unwrap_err().to_string();
    let gone = env(from(
        json!({"configMapKeyRef": {"name": "nope", "key": "k"}}),
    ))
    .await;
    assert_eq!(message(gone), "configmap \"nope\" not found");
    let no_key = env(from(json!({"secretKeyRef": {"name": "e2", "key": "zz"}}))).await;
    assert_eq!(message(no_key), "couldn't find key zz in Secret ns/e2");
}

#[tokio::test]
async fn optional_sources_that_are_missing_set_nothing() {
    let made = env(json!({"env": [{"name": "O", "valueFrom": {"configMapKeyRef": {"name": "e1", "key": "x", "optional": true}}}]})).await.unwrap();
    assert!(!made.contains_key("O"));
}

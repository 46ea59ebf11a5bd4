use std::collections::BTreeSet;

use super::*;

const ALL: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

fn resource<'a>(group: &'a str, version: &'a str, kind: &'a str, plural: &'a str) -> Resource<'a> {
    Resource {
        group,
        version,
        kind,
        plural,
        namespaced: true,
        verbs: ALL.to_vec(),
        subresources: Vec::new(),
        custom: None,
    }
}

fn sub<'a>(
    name: &'a str,
    (group, version, kind): (&'a str, &'a str, &'a str),
    verbs: &[&'a str],
) -> Subresource<'a> {
    Subresource {
        name,
        group,
        version,
        kind,
        verbs: verbs.to_vec(),
    }
}

fn served() -> Vec<Resource<'static>> {
    let mut deployments = resource("apps", "v1", "Deployment", "deployments");
    deployments.subresources = vec![
        sub(
            "scale",
            ("autoscaling", "v1", "Scale"),
            &["get", "patch", "update"],
        ),
        sub(
            "status",
            ("apps", "v1", "Deployment"),
            &["get", "patch", "update"],
        ),
    ];
    let mut pods = resource("", "v1", "Pod", "pods");
    pods.subresources = vec![
        sub("eviction", ("policy", "v1", "Eviction"), &["create"]),
        sub("exec", ("", "v1", "PodExecOptions"), &["create", "get"]),
    ];
    let mut nodes = resource("", "v1", "Node", "nodes");
    nodes.namespaced = false;
    let mut reviews = resource("authentication.k8s.io", "v1", "TokenReview", "tokenreviews");
    reviews.namespaced = false;
    reviews.verbs = vec!["create"];
    vec![pods, nodes, deployments, reviews]
}

fn parse(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get("$ref") {
                found.insert(reference.clone());
            }
            map.values().for_each(|v| references(v, found));
        }
        Value::Array(items) => items.iter().for_each(|v| references(v, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_to_a_definition() {
    for (document, prefix, place) in [
        (v2("v1", &served()), "#/definitions/", "/definitions"),
        (
            v3("v1", "apps", "v1", &served()),
            "#/components/schemas/",
            "/components/schemas",
        ),
        (
            v3("v1", "", "v1", &served()),
            "#/components/schemas/",
            "/components/schemas",
        ),
    ] {
        let document = parse(&document);
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        assert!(found.len() > 20);
        let definitions = document.pointer(place).expect("definitions");
        for reference in found {
            let name = reference
                .strip_prefix(prefix)
                .expect("a reference of the dialect");
            assert!(definitions.get(name).is_some(), "{name}");
        }
    }
}

#[test]
fn paths_are_those_that_are_served() {
    let document = parse(&v2("v1", &served()));
    let paths: Vec<_> = document["paths"]
        .as_object()
        .expect("paths")
        .keys()
        .cloned()
        .collect();
    assert_eq!(
        paths,
        [
            "/api/v1/",
            "/api/v1/namespaces/{namespace}/pods",
            "/api/v1/namespaces/{namespace}/pods/{name}",
            "/api/v1/namespaces/{namespace}/pods/{name}/eviction",
            "/api/v1/namespaces/{namespace}/pods/{name}/exec",
            "/api/v1/nodes",
            "/api/v1/nodes/{name}",
            "/api/v1/pods",
            "/apis/apps/v1/",
            "/apis/apps/v1/deployments",
            "/apis/apps/v1/namespaces/{namespace}/deployments",
            "/apis/apps/v1/namespaces/{namespace}/deployments/{name}",
            "/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale",
            "/apis/apps/v1/namespaces/{namespace}/deployments/{name}/status",
            "/apis/authentication.k8s.io/v1/",
            "/apis/authentication.k8s.io/v1/tokenreviews",
        ]
    );
}

/// Path, method, operation id, action and kind spoken, of Kubernetes' own document.
const OPERATIONS: &str = "
/apis/apps/v1/namespaces/{namespace}/deployments get listAppsV1NamespacedDeployment list Deployment
/apis/apps/v1/namespaces/{namespace}/deployments post createAppsV1NamespacedDeployment post Deployment
/apis/apps/v1/namespaces/{namespace}/deployments delete deleteAppsV1CollectionNamespacedDeployment deletecollection Deployment
/apis/apps/v1/deployments get listAppsV1DeploymentForAllNamespaces list Deployment
/apis/apps/v1/namespaces/{namespace}/deployments/{name} get readAppsV1NamespacedDeployment get Deployment
/apis/apps/v1/namespaces/{namespace}/deployments/{name} put replaceAppsV1NamespacedDeployment put Deployment
/apis/apps/v1/namespaces/{namespace}/deployments/{name} patch patchAppsV1NamespacedDeployment patch Deployment
/apis/apps/v1/namespaces/{namespace}/deployments/{name} delete deleteAppsV1NamespacedDeployment delete Deployment
/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale get readAppsV1NamespacedDeploymentScale get Scale
/api/v1/namespaces/{namespace}/pods/{name}/eviction post createCoreV1NamespacedPodEviction post Eviction
/api/v1/namespaces/{namespace}/pods/{name}/exec get connectCoreV1GetNamespacedPodExec connect PodExecOptions
/api/v1/nodes get listCoreV1Node list Node
";

#[test]
fn operations_are_named_as_kubernetes_names_them() {
    let document = parse(&v2("v1", &served()));
    for row in OPERATIONS.lines().skip(1) {
        let words: Vec<_> = row.split(' ').collect();
        let [path, method, id, action, kind] = words[..] else {
            panic!("row {row:?}");
        };
        let operation = &document["paths"][path][method];
        assert_eq!(operation["operationId"], id, "{path}");
        assert_eq!(operation["x-kubernetes-action"], action, "{id}");
        assert_eq!(
            operation["x-kubernetes-group-version-kind"]["kind"], kind,
            "{id}"
        );
    }
}

#[test]
fn kubectl_finds_field_validation_on_version_3_patches() {
    let document = parse(&v3("v1", "apps", "v1", &served()));
    let patch =
        &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    let parameters = patch["parameters"].as_array().expect("parameters");
    assert!(
        parameters
            .iter()
            .any(|p| p["name"] == "fieldValidation" && p["in"] == "query")
    );
    assert!(patch["requestBody"]["content"]["application/apply-patch+yaml"].is_object());
}

#[test]
fn fields_carry_what_clients_merge_by() {
    let document = parse(&v2("v1", &served()));
    let spec = &document["definitions"]["io.k8s.api.core.v1.PodSpec"]["properties"];
    assert_eq!(
        spec["volumes"]["x-kubernetes-patch-strategy"],
        "merge,retainKeys"
    );
    assert_eq!(spec["volumes"]["x-kubernetes-patch-merge-key"], "name");
    assert_eq!(spec["containers"]["x-kubernetes-list-type"], "map");
    assert_eq!(spec["tolerations"]["x-kubernetes-list-type"], "atomic");
    assert_eq!(spec["nodeSelector"]["x-kubernetes-map-type"], "atomic");
    let ports = &document["definitions"]["io.k8s.api.core.v1.Container"]["properties"]["ports"];
    assert_eq!(
        ports["x-kubernetes-list-map-keys"],
        json!(["containerPort", "protocol"])
    );
    let pod = &document["definitions"]["io.k8s.api.core.v1.Pod"];
    assert_eq!(
        pod["x-kubernetes-group-version-kind"],
        json!([{"group": "", "version": "v1", "kind": "Pod"}])
    );
    assert!(pod.get("required").is_none());
    assert!(document["definitions"]["io.k8s.api.core.v1.PodList"].is_object());
}

#[test]
fn a_version_3_document_holds_its_own_version_only() {
    let document = parse(&v3("v1", "apps", "v1", &served()));
    let paths = document["paths"].as_object().expect("paths");
    assert!(paths.keys().all(|p| p.starts_with("/apis/apps/v1")));
    let schemas = &document["components"]["schemas"];
    assert!(schemas.get("io.k8s.api.core.v1.Node").is_none());
    let template = &schemas["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]["template"];
    assert_eq!(
        template["allOf"],
        json!([{"$ref": "#/components/schemas/io.k8s.api.core.v1.PodTemplateSpec"}])
    );
}

#[test]
fn the_index_gives_every_document_its_hash() {
    let index = parse(&v3_index(&[("apis/apps/v1".to_owned(), "abc".to_owned())]));
    assert_eq!(
        index,
        json!({"paths": {"apis/apps/v1": {"serverRelativeURL": "/openapi/v3/apis/apps/v1?hash=abc"}}})
    );
}

/// The fields of a protobuf message: number, and bytes of the length-delimited ones.
fn fields(mut message: &[u8]) -> Vec<(u64, &[u8])> {
    fn varint(message: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let (byte, rest) = message.split_first().expect("a byte");
            *message = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    }
    let mut found = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message);
        match tag & 7 {
            0 => {
                varint(&mut message);
                found.push((tag >> 3, &message[..0]));
            }
            2 => {
                let length = usize::try_from(varint(&mut message)).expect("a length");
                let (body, rest) = message.split_at(length);
                message = rest;
                found.push((tag >> 3, body));
            }
            wire => panic!("wire type {wire}"),
        }
    }
    found
}

/// The value of the entry of that name in a message of named values.
fn named<'a>(message: &'a [u8], name: &str) -> Vec<(u64, &'a [u8])> {
    let entries = fields(message).into_iter().map(|(_, pair)| fields(pair));
    let mut found = entries.filter(|pair| pair[0].1 == name.as_bytes());
    fields(found.next().expect("the name")[1].1)
}

fn only<'a>(message: &[(u64, &'a [u8])], number: u64) -> &'a [u8] {
    message.iter().find(|f| f.0 == number).expect("the field").1
}

#[test]
fn the_protobuf_form_says_what_the_json_form_says() {
    let bytes = v2_protobuf("v1.33", &served());
    let document = fields(&bytes);
    let json = parse(&v2("v1.33", &served()));
    assert_eq!(only(&document, 1), b"2.0");
    assert_eq!(only(&fields(only(&document, 2)), 2), b"v1.33");
    let paths = fields(only(&document, 8));
    assert_eq!(paths.len(), json["paths"].as_object().expect("paths").len());
    let definitions = only(&document, 9);
    assert_eq!(
        fields(definitions).len(),
        json["definitions"].as_object().expect("all").len()
    );

    let pod = named(definitions, "io.k8s.api.core.v1.PodSpec");
    let containers = named(only(&pod, 25), "containers");
    let item = fields(only(&containers, 23));
    assert_eq!(
        only(&fields(item[0].1), 1),
        b"#/definitions/io.k8s.api.core.v1.Container"
    );
    let vendor: Vec<_> = containers
        .iter()
        .filter(|f| f.0 == 31)
        .map(|f| fields(f.1))
        .collect();
    let merge_key = vendor
        .iter()
        .find(|v| v[0].1 == b"x-kubernetes-patch-merge-key");
    assert_eq!(
        only(&fields(merge_key.expect("known")[1].1), 2),
        b"\"name\""
    );
}

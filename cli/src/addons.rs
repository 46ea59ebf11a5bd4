//! Objects that every skiff cluster starts with, besides Kubernetes' own: the
//! DNS Service, and what a machine that joins may read and ask for.

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::Api;
use kube::Client;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

pub struct Addons<'a> {
    pub cluster_dns: std::net::Ipv4Addr,
    pub server: String,
    pub ca_pem: &'a str,
}

/// Applies them all; what people changed in fields we do not name stays.
pub async fn apply(client: &Client, addons: &Addons<'_>) -> anyhow::Result<()> {
    for object in [
        dns_service(addons.cluster_dns),
        cluster_info(addons),
        cluster_info_role(),
        cluster_info_binding(),
        nodes_binding("system:skiff:node-proxier", "system:node-proxier"),
    ] {
        apply_one(client, &object).await?;
    }
    Ok(())
}

async fn apply_one(client: &Client, object: &Value) -> anyhow::Result<()> {
    let text = |pointer: &str| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (kind, name) = (text("/kind"), text("/metadata/name"));
    let (group, version) = text("/apiVersion")
        .split_once('/')
        .unwrap_or(("", text("/apiVersion")));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    let api: Api<DynamicObject> = match object
        .pointer("/metadata/namespace")
        .and_then(Value::as_str)
    {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let params = PatchParams::apply("skiff").force();
    let applied = api.patch(name, &params, &Patch::Apply(object)).await;
    applied
        .map(drop)
        .with_context(|| format!("apply {kind} {name}"))
}

/// The address is answered by DNS itself on every node; the Service tells people.
fn dns_service(ip: std::net::Ipv4Addr) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "kube-dns", "namespace": "kube-system",
            "labels": { "k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS" } },
        "spec": { "clusterIP": ip, "ports": [
            { "name": "dns", "port": 53, "protocol": "UDP" },
            { "name": "dns-tcp", "port": 53, "protocol": "TCP" },
        ] },
    })
}

fn cluster_info(addons: &Addons<'_>) -> Value {
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config",
        "clusters": [{ "name": "", "cluster": {
            "server": addons.server,
            "certificate-authority-data": STANDARD.encode(addons.ca_pem),
        } }],
    });
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "cluster-info", "namespace": "kube-public" },
        "data": { "kubeconfig": kubeconfig.to_string() },
    })
}

fn cluster_info_role() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": { "name": "skiff:cluster-info", "namespace": "kube-public" },
        "rules": [{ "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["cluster-info"], "verbs": ["get"] }],
    })
}

fn cluster_info_binding() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": { "name": "skiff:cluster-info", "namespace": "kube-public" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "skiff:cluster-info" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "system:anonymous" }],
    })
}

fn nodes_binding(name: &str, role: &str) -> Value {
    group_binding(name, role, "system:nodes")
}

fn group_binding(name: &str, role: &str, group: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": { "name": name },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group }],
    })
}

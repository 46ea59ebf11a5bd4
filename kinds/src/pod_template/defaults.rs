//! What Kubernetes fills into a pod spec.

use serde_json::{Value, json};

use crate::defaults::{
    canonical_amounts, each, each_field, each_item, is, object, set_default, set_number, set_text,
    with,
};

/// 0644.
const FILE_MODE: i64 = 420;
pub const CONTAINER_LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Defaults that hold in a Pod and in a template.
pub fn default_spec(spec: &mut Value) {
    set_text(spec, "restartPolicy", "Always");
    set_text(spec, "dnsPolicy", "ClusterFirst");
    set_text(spec, "schedulerName", "default-scheduler");
    set_default(spec, "securityContext", json!({}));
    set_default(spec, "terminationGracePeriodSeconds", 30);
    service_account(spec);
    each(spec, "volumes", volume);
    for list in CONTAINER_LISTS {
        each(spec, list, container);
    }
    with(spec, "resources", |resources| {
        canonical_amounts(resources, "limits");
        canonical_amounts(resources, "requests");
    });
    canonical_amounts(spec, "overhead");
}

/// Defaults that only a Pod gets, not a template.
pub fn default_pod_spec(spec: &mut Value) {
    default_spec(spec);
    set_default(spec, "enableServiceLinks", true);
    for list in ["initContainers", "containers"] {
        each(spec, list, requests_from_limits);
    }
    if spec.get("hostNetwork").and_then(Value::as_bool) == Some(true) {
        for list in ["initContainers", "containers"] {
            each(spec, list, |container| each(container, "ports", host_port));
        }
    }
}

/// The old field and the new one say the same.
fn service_account(spec: &mut Value) {
    let name = ["serviceAccountName", "serviceAccount"]
        .into_iter()
        .find_map(|field| spec.get(field)?.as_str().filter(|name| !name.is_empty()))
        .map(str::to_owned);
    let Some(name) = name else { return };
    for field in ["serviceAccountName", "serviceAccount"] {
        if !is(spec, field, &name) {
            spec[field] = name.as_str().into();
        }
    }
}

fn requests_from_limits(container: &mut Value) {
    let Some(resources) = container.get_mut("resources") else {
        return;
    };
    let limits = resources.get("limits").and_then(Value::as_object);
    let Some(limits) = limits.filter(|limits| !limits.is_empty()) else {
        return;
    };
    let asked = |name: &str| resources.get("requests").and_then(|all| all.get(name));
    let unasked = limits
        .iter()
        .filter(|(name, _)| asked(name).is_none_or(Value::is_null));
    let unasked: Vec<(String, Value)> = unasked
        .map(|(name, amount)| (name.clone(), amount.clone()))
        .collect();
    let requests = object(resources, "requests");
    for (name, amount) in unasked {
        set_default(requests, &name, amount);
    }
}

fn host_port(port: &mut Value) {
    if let Some(number) = port.get("containerPort").and_then(Value::as_i64) {
        set_number(port, "hostPort", number);
    }
}

fn container(container: &mut Value) {
    let image = container.get("image").and_then(Value::as_str).unwrap_or("");
    let policy = pull_policy(image);
    set_text(container, "imagePullPolicy", policy);
    set_text(container, "terminationMessagePath", "/dev/termination-log");
    set_text(container, "terminationMessagePolicy", "File");
    let resources = object(container, "resources");
    canonical_amounts(resources, "limits");
    canonical_amounts(resources, "requests");
    each_field(container, container_field);
}

fn container_field(name: &str, field: &mut Value) {
    match name {
        "ports" => each_item(field, |port| set_text(port, "protocol", "TCP")),
        "env" => each_item(field, |env| with(env, "valueFrom", env_source)),
        "livenessProbe" | "readinessProbe" | "startupProbe" => probe(field),
        "lifecycle" => {
            with(field, "postStart", handler);
            with(field, "preStop", handler);
        }
        _ => {}
    }
}

fn env_source(source: &mut Value) {
    with(source, "fieldRef", field_ref);
    with(source, "fileKeyRef", |file| {
        set_default(file, "optional", false)
    });
}

/// `latest`, and what has no tag at all, is pulled every time.
pub fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = match image.split_once('@') {
        Some((name, _)) => (name, true),
        None => (image, false),
    };
    let last = name.rsplit('/').next().unwrap_or(name);
    let tag = last.split_once(':').map(|(_, tag)| tag);
    match tag {
        Some("latest") => "Always",
        None if !digest => "Always",
        _ => "IfNotPresent",
    }
}

fn field_ref(field: &mut Value) {
    set_text(field, "apiVersion", "v1");
}

fn probe(probe: &mut Value) {
    set_number(probe, "timeoutSeconds", 1);
    set_number(probe, "periodSeconds", 10);
    set_number(probe, "successThreshold", 1);
    set_number(probe, "failureThreshold", 3);
    handler(probe);
    with(probe, "grpc", |grpc| set_default(grpc, "service", ""));
}

fn handler(handler: &mut Value) {
    with(handler, "httpGet", |get| {
        set_text(get, "path", "/");
        set_text(get, "scheme", "HTTP");
    });
}

fn volume(volume: &mut Value) {
    let has_source = volume.as_object().is_some_and(|fields| {
        fields
            .iter()
            .any(|(key, value)| key != "name" && !value.is_null())
    });
    if !has_source {
        set_default(volume, "emptyDir", json!({}));
    }
    each_field(volume, pod_source);
}

/// Defaults of a volume's source, by its name.
fn pod_source(name: &str, source: &mut Value) {
    match name {
        "secret" | "configMap" => set_default(source, "defaultMode", FILE_MODE),
        "downwardAPI" => {
            set_default(source, "defaultMode", FILE_MODE);
            downward_items(source);
        }
        "projected" => {
            set_default(source, "defaultMode", FILE_MODE);
            each(source, "sources", |source| each_field(source, projection));
        }
        "image" => {
            let reference = source.get("reference").and_then(Value::as_str);
            let policy = pull_policy(reference.unwrap_or(""));
            set_text(source, "pullPolicy", policy);
        }
        "ephemeral" => with(source, "volumeClaimTemplate", |template| {
            with(template, "spec", |spec| {
                set_default(spec, "volumeMode", "Filesystem");
            });
        }),
        _ => shared_source(name, source),
    }
}

fn projection(name: &str, source: &mut Value) {
    match name {
        "downwardAPI" => downward_items(source),
        "serviceAccountToken" => set_default(source, "expirationSeconds", 3600),
        _ => {}
    }
}

fn downward_items(source: &mut Value) {
    each(source, "items", |item| {
        with(item, "fieldRef", field_ref);
        with(item, "resourceFieldRef", |field| {
            set_default(field, "divisor", "0");
        });
    });
}

/// Defaults of the source that a PersistentVolume's spec holds.
pub fn default_source(spec: &mut Value) {
    each_field(spec, shared_source);
}

/// Defaults of volume sources that pods and PersistentVolumes have alike.
fn shared_source(name: &str, source: &mut Value) {
    match name {
        "hostPath" => set_default(source, "type", ""),
        "iscsi" => set_text(source, "iscsiInterface", "default"),
        "rbd" => {
            set_text(source, "pool", "rbd");
            set_text(source, "user", "admin");
            set_text(source, "keyring", "/etc/ceph/keyring");
        }
        "azureDisk" => {
            set_default(source, "cachingMode", "ReadWrite");
            set_default(source, "kind", "Shared");
            set_default(source, "fsType", "ext4");
            set_default(source, "readOnly", false);
        }
        "scaleIO" => {
            set_text(source, "storageMode", "ThinProvisioned");
            set_text(source, "fsType", "xfs");
        }
        _ => {}
    }
}

/// The quality-of-service class Kubernetes reports in a pod's status.
pub fn qos_class(spec: &Value) -> &'static str {
    let containers = ["initContainers", "containers"]
        .into_iter()
        .flat_map(|list| {
            spec.get(list)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
        });
    let mut any = false;
    let mut all = true;
    for container in containers {
        let resources = container.get("resources");
        let amounts = |list: &str| resources.and_then(|resources| resources.get(list));
        let (limits, requests) = (amounts("limits"), amounts("requests"));
        let amount = |amounts: Option<&Value>, name: &str| {
            let quantity = apimachinery::Quantity::from_json(amounts?.get(name)?).ok()?;
            (!quantity.is_zero()).then_some(quantity)
        };
        for name in ["cpu", "memory"] {
            let (limit, request) = (amount(limits, name), amount(requests, name));
            any |= limit.is_some() || request.is_some();
            all &= limit.is_some() && request.is_none_or(|request| Some(request) == limit);
        }
    }
    match (any, all) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_without_a_tag_are_always_pulled() {
        for image in ["nginx", "nginx:latest", "reg:5000/nginx", "a/b:latest"] {
            assert_eq!(pull_policy(image), "Always", "{image}");
        }
        for image in [
            "nginx:1",
            "reg:5000/nginx:1",
            "nginx@sha256:abc",
            "nginx:1@sha256:abc",
        ] {
            assert_eq!(pull_policy(image), "IfNotPresent", "{image}");
        }
    }

    #[test]
    fn requests_follow_limits_in_pods_but_not_in_templates() {
        let spec = json!({"containers": [{"name": "c", "resources": {"limits": {"cpu": "1.0"}}}]});
        let mut template = spec.clone();
        default_spec(&mut template);
        let mut pod = spec;
        default_pod_spec(&mut pod);
        assert_eq!(template.pointer("/containers/0/resources/requests"), None);
        assert_eq!(
            pod.pointer("/containers/0/resources/requests"),
            Some(&json!({"cpu": "1"}))
        );
    }

    #[test]
    fn a_pod_is_guaranteed_only_if_every_container_has_equal_limits_and_requests() {
        let resources = |r: Value| json!({"containers": [{"resources": r}]});
        let both = json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1Gi"}});
        assert_eq!(qos_class(&resources(both)), "Guaranteed");
        assert_eq!(
            qos_class(&resources(json!({"requests": {"cpu": "1"}}))),
            "Burstable"
        );
        assert_eq!(qos_class(&resources(json!({}))), "BestEffort");
    }
}

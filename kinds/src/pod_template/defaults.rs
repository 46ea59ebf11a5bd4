//! What Kubernetes fills into a pod spec.

use serde_json::{Value, json};

use crate::defaults::{canonical_amounts, each, object, set_default, set_number, set_text, with};

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
    if let Some(name) = name {
        spec["serviceAccountName"] = name.as_str().into();
        spec["serviceAccount"] = name.into();
    }
}

fn requests_from_limits(container: &mut Value) {
    let limits = container.pointer("/resources/limits").cloned();
    let Some(Value::Object(limits)) = limits else {
        return;
    };
    if limits.is_empty() {
        return;
    }
    let requests = object(&mut container["resources"], "requests");
    for (name, amount) in limits {
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
    each(container, "ports", |port| set_text(port, "protocol", "TCP"));
    each(container, "env", |env| {
        with(env, "valueFrom", |source| {
            with(source, "fieldRef", field_ref);
            with(source, "fileKeyRef", |file| {
                set_default(file, "optional", false)
            });
        });
    });
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        with(container, probe, self::probe);
    }
    with(container, "lifecycle", |lifecycle| {
        with(lifecycle, "postStart", handler);
        with(lifecycle, "preStop", handler);
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
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        with(volume, source, |source| {
            set_default(source, "defaultMode", FILE_MODE)
        });
    }
    with(volume, "downwardAPI", downward_items);
    with(volume, "projected", |projected| {
        each(projected, "sources", |source| {
            with(source, "downwardAPI", downward_items);
            with(source, "serviceAccountToken", |token| {
                set_default(token, "expirationSeconds", 3600);
            });
        });
    });
    with(volume, "image", |image| {
        let reference = image.get("reference").and_then(Value::as_str).unwrap_or("");
        let policy = pull_policy(reference);
        set_text(image, "pullPolicy", policy);
    });
    with(volume, "ephemeral", |ephemeral| {
        with(ephemeral, "volumeClaimTemplate", |template| {
            with(template, "spec", |spec| {
                set_default(spec, "volumeMode", "Filesystem")
            });
        });
    });
    default_source(volume);
}

fn downward_items(source: &mut Value) {
    each(source, "items", |item| {
        with(item, "fieldRef", field_ref);
        with(item, "resourceFieldRef", |field| {
            set_default(field, "divisor", "0");
        });
    });
}

/// Defaults of volume sources that PersistentVolumes have too.
pub fn default_source(volume: &mut Value) {
    with(volume, "hostPath", |path| set_default(path, "type", ""));
    with(volume, "iscsi", |iscsi| {
        set_text(iscsi, "iscsiInterface", "default")
    });
    with(volume, "rbd", |rbd| {
        set_text(rbd, "pool", "rbd");
        set_text(rbd, "user", "admin");
        set_text(rbd, "keyring", "/etc/ceph/keyring");
    });
    with(volume, "azureDisk", |disk| {
        set_default(disk, "cachingMode", "ReadWrite");
        set_default(disk, "kind", "Shared");
        set_default(disk, "fsType", "ext4");
        set_default(disk, "readOnly", false);
    });
    with(volume, "scaleIO", |io| {
        set_text(io, "storageMode", "ThinProvisioned");
        set_text(io, "fsType", "xfs");
    });
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
        let amount = |kind: &str, name: &str| {
            let text = container.get("resources")?.get(kind)?.get(name)?;
            let quantity = apimachinery::Quantity::from_json(text).ok()?;
            (!quantity.is_zero()).then_some(quantity)
        };
        for name in ["cpu", "memory"] {
            let (limit, request) = (amount("limits", name), amount("requests", name));
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

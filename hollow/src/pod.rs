//! A pod, as far as a hollow node looks at it, and what becomes of it.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Resource;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

#[derive(Debug, Clone, Default, Deserialize)]
pub struct Pod {
    #[serde(deserialize_with = "metadata")]
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: Spec,
    #[serde(default)]
    pub status: Status,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    pub node_name: Option<String>,
    pub host_network: bool,
    pub restart_policy: Option<String>,
    pub containers: Vec<Container>,
    pub init_containers: Vec<Container>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    pub name: String,
    pub image: Option<String>,
    pub restart_policy: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    pub phase: Option<String>,
    #[serde(rename = "podIP")]
    pub pod_ip: Option<Ipv4Addr>,
}

objects::served_as!(Pod, core::Pod, NamespaceResourceScope);

fn metadata<'de, D: Deserializer<'de>>(from: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire {
        name: Option<String>,
        namespace: Option<String>,
        uid: Option<String>,
        resource_version: Option<String>,
        deletion_timestamp: Option<Time>,
    }
    let wire = Wire::deserialize(from)?;
    Ok(ObjectMeta {
        name: wire.name,
        namespace: wire.namespace,
        uid: wire.uid,
        resource_version: wire.resource_version,
        deletion_timestamp: wire.deletion_timestamp,
        ..ObjectMeta::default()
    })
}

impl Pod {
    pub fn is_pending(&self) -> bool {
        matches!(self.status.phase.as_deref(), None | Some("" | "Pending"))
    }

    pub fn is_finished(&self) -> bool {
        matches!(self.status.phase.as_deref(), Some("Succeeded" | "Failed"))
    }

    pub fn is_ending(&self) -> bool {
        self.meta().deletion_timestamp.is_some()
    }

    /// It runs to an end, as Jobs' pods do.
    pub fn may_finish(&self) -> bool {
        matches!(
            self.spec.restart_policy.as_deref(),
            Some("Never" | "OnFailure")
        )
    }
}

impl Container {
    fn is_sidecar(&self) -> bool {
        self.restart_policy.as_deref() == Some("Always")
    }

    fn status(&self, state: &Value, is_ready: bool) -> Value {
        let image = self.image.as_deref().unwrap_or_default();
        json!({
            "name": self.name, "image": image, "imageID": image, "containerID": "hollow://0",
            "ready": is_ready, "started": is_ready, "restartCount": 0, "state": state,
        })
    }
}

/// The status of a pod that runs.
pub fn running(spec: &Spec, host: &str, address: Ipv4Addr) -> Value {
    let now = now();
    let ip = if spec.host_network {
        host.to_owned()
    } else {
        address.to_string()
    };
    let running = json!({ "running": { "startedAt": now } });
    let done = json!({ "terminated": { "exitCode": 0, "reason": "Completed",
        "startedAt": now, "finishedAt": now } });
    let init = spec.init_containers.iter().map(|container| {
        let state = if container.is_sidecar() {
            &running
        } else {
            &done
        };
        container.status(state, true)
    });
    let containers = spec.containers.iter().map(|c| c.status(&running, true));
    let mut status = json!({
        "phase": "Running", "startTime": now,
        "hostIP": host, "hostIPs": [{ "ip": host }], "podIP": ip, "podIPs": [{ "ip": ip }],
        "conditions": conditions(&now, "True", None),
        "containerStatuses": containers.collect::<Vec<_>>(),
    });
    if !spec.init_containers.is_empty() {
        status["initContainerStatuses"] = init.collect();
    }
    status
}

/// The status of a pod that has done its work.
pub fn succeeded(spec: &Spec) -> Value {
    let now = now();
    let done = json!({ "terminated": { "exitCode": 0, "reason": "Completed",
        "startedAt": now, "finishedAt": now } });
    let containers = spec.containers.iter().map(|c| c.status(&done, false));
    json!({
        "phase": "Succeeded",
        "conditions": conditions(&now, "False", Some("PodCompleted")),
        "containerStatuses": containers.collect::<Vec<_>>(),
    })
}

fn conditions(now: &str, ready: &str, reason: Option<&str>) -> Value {
    let condition = |type_: &str, status: &str, reason: Option<&str>| {
        let mut condition = json!({ "type": type_, "status": status,
            "lastProbeTime": null, "lastTransitionTime": now });
        if let Some(reason) = reason {
            condition["reason"] = reason.into();
        }
        condition
    };
    json!([
        condition("PodReadyToStartContainers", ready, None),
        condition("Initialized", "True", reason),
        condition("Ready", ready, reason),
        condition("ContainersReady", ready, reason),
    ])
}

fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(spec: Value) -> Spec {
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn a_running_pod_is_ready_with_all_its_containers() {
        let spec = spec(json!({ "containers": [{ "name": "a" }, { "name": "b" }],
            "initContainers": [{ "name": "i" }, { "name": "s", "restartPolicy": "Always" }] }));
        let status = running(&spec, "10.64.0.1", Ipv4Addr::new(10, 128, 0, 1));
        assert_eq!(status["containerStatuses"].as_array().unwrap().len(), 2);
        assert_eq!(status["podIP"], "10.128.0.1");
        let ready = status["conditions"].as_array().unwrap();
        assert!(ready.iter().all(|c| c["status"] == "True"));
        let init = &status["initContainerStatuses"];
        assert_eq!(init[0]["state"]["terminated"]["exitCode"], 0);
        assert!(init[1]["state"]["running"].is_object());
    }

    #[test]
    fn a_pod_on_the_hosts_network_has_the_hosts_address() {
        let status = running(
            &spec(json!({ "hostNetwork": true })),
            "10.64.0.1",
            Ipv4Addr::new(10, 128, 0, 1),
        );
        assert_eq!(status["podIP"], "10.64.0.1");
    }
}

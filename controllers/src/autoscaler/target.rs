//! What is scaled, and its pods.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use apimachinery::Quantity;
use apimachinery::selector::LabelSelector;
use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::api::autoscaling::v2::CrossVersionObjectReference;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use super::replicas::PodSeen;
use crate::owner;
use crate::resources::{self, Resource};
use crate::workload;

/// The resources of kinds, asked for once each.
#[derive(Default)]
pub struct Resources(Mutex<HashMap<(String, String), Resource>>);

impl Resources {
    pub async fn of(
        &self,
        client: &Client,
        target: &CrossVersionObjectReference,
    ) -> Result<Resource, String> {
        let version = target.api_version.as_deref().unwrap_or_default();
        let group = version.split_once('/').map_or("", |(group, _)| group);
        let name = (group.to_owned(), target.kind.clone());
        if let Some(known) = self.known().get(&name) {
            return Ok(known.clone());
        }
        let served = resources::discover(client).await;
        let served = served.map_err(|error| workload::words(&error))?;
        let found = served.of_kind(group, &target.kind).cloned();
        let found = found.ok_or_else(|| {
            let kind = &target.kind;
            format!("unable to determine resource for scale target reference: no matches for kind {kind:?} in group {group:?}")
        })?;
        self.known().insert(name, found.clone());
        Ok(found)
    }

    #[cfg(test)]
    pub fn knowing(target: &CrossVersionObjectReference, resource: Resource) -> Self {
        let name = ("apps".to_owned(), target.kind.clone());
        Self(Mutex::new(HashMap::from([(name, resource)])))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<(String, String), Resource>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The numbers of a scale.
#[derive(Debug, Clone, Default)]
pub struct Size {
    pub wanted: i32,
    pub there: i32,
    pub selector: String,
    version: Option<String>,
}

pub async fn size(
    client: &Client,
    resource: &Resource,
    namespace: &str,
    name: &str,
) -> Result<Size, String> {
    let scale = resource.api(client, namespace).get_scale(name).await;
    let scale = scale.map_err(|error| workload::words(&error))?;
    Ok(size_of(scale))
}

fn size_of(scale: Scale) -> Size {
    let status = scale.status.unwrap_or_default();
    Size {
        wanted: scale.spec.and_then(|spec| spec.replicas).unwrap_or(0),
        there: status.replicas,
        selector: status.selector.unwrap_or_default(),
        version: scale.metadata.resource_version,
    }
}

/// Sets the number of pods, unless somebody changed the target since `size`.
pub async fn resize(
    api: &Api<DynamicObject>,
    name: &str,
    size: &Size,
    replicas: i32,
) -> Result<(), String> {
    let metadata = json!({ "resourceVersion": size.version });
    let patch = Patch::Merge(json!({ "metadata": metadata, "spec": { "replicas": replicas } }));
    let resized = api.patch_scale(name, &PatchParams::default(), &patch).await;
    resized.map(drop).map_err(|error| workload::words(&error))
}

/// The pods that the target's selector selects.
pub async fn pods(client: &Client, namespace: &str, selector: &str) -> Result<Vec<Pod>, String> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let listed = api.list(&ListParams::default().labels(selector)).await;
    let listed = listed.map_err(|error| workload::words(&error))?;
    Ok(listed.items)
}

pub fn is_selected(selector: &LabelSelector, pod: &Pod) -> bool {
    let labels = pod.metadata.labels.as_ref();
    owner::selects(selector, |name| labels?.get(name).map(String::as_str))
}

pub fn seen(pod: &Pod) -> PodSeen {
    let status = pod.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let ready = conditions.into_iter().find(|c| c.type_ == "Ready");
    PodSeen {
        name: pod.metadata.name.clone().unwrap_or_default(),
        is_out: pod.metadata.deletion_timestamp.is_some()
            || status.phase.as_deref() == Some("Failed"),
        is_pending: status.phase.as_deref() == Some("Pending"),
        started: status.start_time.map(|t| t.0),
        ready: ready.map(|c| {
            let since = c.last_transition_time.map(|t| t.0);
            (c.status == "True", since.unwrap_or_default())
        }),
    }
}

pub fn is_ready(pod: &Pod) -> bool {
    let seen = seen(pod);
    let is_running = pod.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Running");
    is_running && seen.ready.is_some_and(|(is_ready, _)| is_ready)
}

/// What each pod requests of a resource, in thousandths.
pub fn requests(
    pods: &[Pod],
    container: Option<&str>,
    resource: &str,
) -> Result<BTreeMap<String, i64>, String> {
    let requests = pods.iter().map(|pod| {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let request = request(pod, &name, container, resource)?;
        Ok((name, request))
    });
    requests.collect()
}

fn request(pod: &Pod, name: &str, container: Option<&str>, resource: &str) -> Result<i64, String> {
    let milli = |requests: Option<&BTreeMap<String, _>>| {
        let request: &k8s_openapi::apimachinery::pkg::api::resource::Quantity =
            requests?.get(resource)?;
        Some(request.0.parse::<Quantity>().ok()?.milli_value())
    };
    let Some(spec) = &pod.spec else { return Ok(0) };
    let whole = spec.resources.as_ref().and_then(|r| r.requests.as_ref());
    if let (None, Some(whole)) = (container, milli(whole)) {
        return Ok(whole);
    }
    let sidecars = spec.init_containers.iter().flatten();
    let sidecars = sidecars.filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let containers = spec.containers.iter().chain(sidecars);
    let asked = containers.filter(|c| container.is_none_or(|name| c.name == name));
    let requests = asked.map(|c| {
        let requests = c.resources.as_ref().and_then(|r| r.requests.as_ref());
        let missing = || {
            format!(
                "missing request for {resource} in container {} of Pod {name}",
                c.name
            )
        };
        milli(requests).ok_or_else(missing)
    });
    requests.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_of_all_that_runs_along_or_of_the_pod_itself() {
        let container = |name: &str, cpu: &str| json!({ "name": name, "resources": { "requests": { "cpu": cpu } } });
        let mut sidecar = container("s", "50m");
        sidecar["restartPolicy"] = "Always".into();
        let spec = json!({ "containers": [container("a", "1"), container("b", "250m")],
            "initContainers": [container("i", "9"), sidecar] });
        let pod = |spec| -> Vec<Pod> {
            serde_json::from_value(json!([{ "metadata": { "name": "p" }, "spec": spec }])).unwrap()
        };
        let cpu = |pods: &[Pod], container| requests(pods, container, "cpu").map(|all| all["p"]);
        assert_eq!(cpu(&pod(spec.clone()), None), Ok(1300));
        assert_eq!(cpu(&pod(spec.clone()), Some("b")), Ok(250));
        let mut whole = spec.clone();
        whole["resources"] = json!({ "requests": { "cpu": "3" } });
        assert_eq!(cpu(&pod(whole), None), Ok(3000));
        let mut silent = spec;
        silent["containers"][1]["resources"] = json!({});
        let why = "missing request for cpu in container b of Pod p";
        assert_eq!(cpu(&pod(silent), None), Err(why.to_owned()));
    }
}

//! Every pod runs as a service account, and finds its token in a volume.

use std::sync::{Arc, LazyLock};

use apimachinery::{Status, meta, random};
use serde_json::{Value, json};

use super::Admission;
use crate::keys;
use crate::registry::{Registry, store_failure};

const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME_PREFIX: &str = "kube-api-access-";
const MIRROR: &str = "kubernetes.io/config.mirror";
/// An hour and seven seconds: the odd seven tells these from tokens asked for by hand.
const TOKEN_SECONDS: u64 = 3607;

impl Admission {
    pub(super) async fn add_service_account(
        &self,
        registry: &Registry<'_>,
        pod: &mut Value,
    ) -> Result<(), Status> {
        if meta::annotation(pod, MIRROR).is_some() {
            return Ok(());
        }
        let mut name = meta::text(pod, "spec.serviceAccountName").to_owned();
        if name.is_empty() {
            name = "default".into();
        }
        meta::set(pod, "spec.serviceAccountName", name.as_str());
        meta::set(pod, "spec.serviceAccount", name.as_str());
        let namespace = registry.namespace.unwrap_or("");
        let Some(account) = self.service_account(registry, namespace, &name).await? else {
            let why = format!(
                "error looking up service account {namespace}/{name}: serviceaccount {name:?} not found"
            );
            return Err(Status::forbidden(
                registry.resource(),
                meta::name(pod),
                &why,
            ));
        };
        if meta::items(pod, "spec.imagePullSecrets").is_empty()
            && let Some(secrets) = meta::get(&account, "imagePullSecrets")
        {
            meta::set(pod, "spec.imagePullSecrets", secrets.clone());
        }
        if wants_token(pod, &account) {
            mount_token(pod);
        }
        Ok(())
    }

    async fn service_account(
        &self,
        registry: &Registry<'_>,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Arc<Value>>, Status> {
        if let Some(known) = self.service_accounts.get(&format!("{namespace}/{name}")) {
            return Ok(Some(known));
        }
        let key = keys::object("serviceaccounts", Some(namespace), name);
        let found = registry.api.store.get(&key).await.map_err(store_failure)?;
        let parsed = found
            .map(|entry| serde_json::from_slice(&entry.value))
            .transpose();
        Ok(parsed.map_err(Status::internal)?.map(Arc::new))
    }
}

fn wants_token(pod: &Value, account: &Value) -> bool {
    let field = "automountServiceAccountToken";
    let of_pod = pod["spec"][field].as_bool();
    of_pod.or_else(|| account[field].as_bool()).unwrap_or(true)
}

fn mount_token(pod: &mut Value) {
    let spec = meta::entry(pod, "spec");
    let existing = meta::items(spec, "volumes")
        .iter()
        .filter_map(|volume| volume["name"].as_str())
        .find(|name| name.starts_with(VOLUME_PREFIX));
    let name = existing.map_or_else(
        || format!("{VOLUME_PREFIX}{}", random::string(5)),
        str::to_owned,
    );
    let is_new = existing.is_none();
    let mut is_mounted = false;
    for list in ["initContainers", "containers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let mounts = meta::items(container, "volumeMounts");
            if mounts.iter().any(|m| m["mountPath"] == MOUNT_PATH) {
                continue;
            }
            is_mounted = true;
            meta::push(
                container,
                "volumeMounts",
                json!({ "name": name, "readOnly": true, "mountPath": MOUNT_PATH }),
            );
        }
    }
    if is_mounted && is_new {
        meta::push(spec, "volumes", volume(&name));
    }
}

/// A token, the authority to check the server by, and the pod's namespace.
static VOLUME: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "name": "",
        "projected": {
            "defaultMode": 420,
            "sources": [
                { "serviceAccountToken": { "expirationSeconds": TOKEN_SECONDS, "path": "token" } },
                { "configMap": { "name": "kube-root-ca.crt", "items": [{ "key": "ca.crt", "path": "ca.crt" }] } },
                { "downwardAPI": { "items": [{
                    "path": "namespace",
                    "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.namespace" },
                }] } },
            ],
        },
    })
});

fn volume(name: &str) -> Value {
    let mut volume = VOLUME.clone();
    volume["name"] = name.into();
    volume
}

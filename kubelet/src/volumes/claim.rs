//! PersistentVolumeClaims whose volume is a path of this node (`hostPath`, `local`).

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod, Volume};
use kube::Api;
use objects::node_selector;

use super::ownership::{self, Change};
use super::{Host, Ready, fs_group, host_path};

/// The claim a volume stands for.
pub struct Wanted {
    name: String,
    /// The pod may not write.
    read_only: bool,
    /// Made for this pod.
    is_ephemeral: bool,
}

/// The claim a volume stands for, if it stands for one.
pub fn claim_of(volume: &Volume, pod: &Pod) -> Option<Wanted> {
    if let Some(claim) = &volume.persistent_volume_claim {
        return Some(Wanted {
            name: claim.claim_name.clone(),
            read_only: claim.read_only.unwrap_or_default(),
            is_ephemeral: false,
        });
    }
    let pod = pod.metadata.name.as_deref().unwrap_or_default();
    volume.ephemeral.as_ref().map(|_| Wanted {
        name: format!("{pod}-{}", volume.name),
        read_only: false,
        is_ephemeral: true,
    })
}

/// Finds the path behind the claim of the pod's namespace, and makes it ready.
pub async fn resolve(host: &Host<'_>, pod: &Pod, wanted: &Wanted) -> Result<Ready, String> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(host.client.clone(), namespace);
    let name = &wanted.name;
    let claim = claims.get_opt(name).await.map_err(|e| e.to_string())?;
    let claim = claim.ok_or_else(|| format!("persistentvolumeclaim \"{name}\" not found"))?;
    let wrong = |why: String| format!("error processing PVC {namespace}/{name}: {why}");
    let volume = volume_of(&claim, pod, wanted, host.is_begun).map_err(wrong)?;
    let volumes: Api<PersistentVolume> = Api::all(host.client.clone());
    let found = volumes.get_opt(&volume).await.map_err(|e| e.to_string())?;
    let found = found.ok_or_else(|| format!("persistentvolume \"{volume}\" not found"))?;
    check(&found, &claim, host)?;
    let path = prepare(host, pod, &found, wanted.read_only)?;
    Ok(Ready {
        path,
        read_only: wanted.read_only,
    })
}

/// The name of the claim's volume, if the pod may start with it. A pod that runs
/// already goes on with a claim that is ending.
fn volume_of(
    claim: &PersistentVolumeClaim,
    pod: &Pod,
    wanted: &Wanted,
    is_begun: bool,
) -> Result<String, String> {
    if wanted.is_ephemeral {
        let owners = claim.metadata.owner_references.as_deref();
        let mut owners = owners.unwrap_or_default().iter();
        let owner = owners.find(|owner| owner.controller == Some(true));
        if owner.map(|owner| &owner.uid) != pod.metadata.uid.as_ref() {
            return Err("it was not created for the pod (pod is not owner)".to_owned());
        }
    }
    if claim.metadata.deletion_timestamp.is_some() && !is_begun {
        return Err("PVC is being deleted".to_owned());
    }
    let status = claim.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref());
    let spec = claim.spec.as_ref();
    let volume = spec.and_then(|spec| spec.volume_name.clone());
    volume
        .filter(|name| phase == Some("Bound") && !name.is_empty())
        .ok_or_else(|| "PVC is not bound".to_owned())
}

/// The volume is this claim's, on this node, and a directory.
fn check(
    volume: &PersistentVolume,
    claim: &PersistentVolumeClaim,
    host: &Host<'_>,
) -> Result<(), String> {
    let name = volume.metadata.name.as_deref().unwrap_or_default();
    let spec = volume.spec.clone().unwrap_or_default();
    let of = spec.claim_ref.and_then(|of| of.uid);
    if of != claim.metadata.uid || of.is_none() {
        return Err(format!(
            "persistentvolume \"{name}\" is not bound to this claim but to one of uid {:?}",
            of.unwrap_or_default()
        ));
    }
    let node = node_selector::Node {
        name: host.node,
        labels: host.labels,
    };
    let required = spec.node_affinity.and_then(|affinity| affinity.required);
    if required.is_some_and(|required| !node.matches(&required)) {
        return Err(format!(
            "MountVolume.NodeAffinity check failed for volume \"{name}\" : no matching NodeSelectorTerms"
        ));
    }
    if spec.volume_mode.as_deref() == Some("Block") {
        return Err(format!(
            "volume \"{name}\" has volumeMode Block, but is specified in volumeMounts"
        ));
    }
    Ok(())
}

fn prepare(
    host: &Host<'_>,
    pod: &Pod,
    volume: &PersistentVolume,
    read_only: bool,
) -> Result<PathBuf, String> {
    let spec = volume.spec.clone().unwrap_or_default();
    if let Some(source) = spec.host_path {
        let kind = source.type_.unwrap_or_default();
        host_path::prepare(Path::new(&source.path), &kind)?;
        return Ok(PathBuf::from(source.path));
    }
    let local = spec.local.ok_or("no volume plugin matched")?;
    let path = PathBuf::from(local.path);
    match host.storage.name_of(&path) {
        Some(name) => host
            .storage
            .make(name)
            .map_err(|e| format!("make {}: {e}", path.display()))?,
        None => host_path::prepare(&path, "Directory")?,
    }
    let group = fs_group(pod.spec.as_ref())?;
    if let Some(group) = group.filter(|_| !read_only) {
        let change = Change::of(pod.spec.as_ref());
        ownership::give_volume_to_group(&path, group, change)
            .map_err(|e| format!("give {} to group {group}: {e}", path.display()))?;
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_api::FakeApi;
    use crate::storage::Storage;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    struct Case {
        claim: Value,
        volume: Value,
        source: Value,
        is_begun: bool,
    }

    fn case() -> Case {
        Case {
            claim: json!({ "metadata": { "name": "c", "uid": "u" },
                "spec": { "volumeName": "v" }, "status": { "phase": "Bound" } }),
            volume: json!({ "metadata": { "name": "v" }, "spec": {
                "claimRef": { "name": "c", "namespace": "n", "uid": "u" } } }),
            source: json!({ "claimName": "c" }),
            is_begun: false,
        }
    }

    impl Case {
        async fn resolve(self, storage: &Storage) -> Result<Ready, String> {
            let api = FakeApi::new(&[(200, self.claim), (200, self.volume)]);
            let pod = json!({ "metadata": { "name": "p", "namespace": "n", "uid": "p" } });
            let pod: Pod = serde_json::from_value(pod).unwrap();
            let volume = json!({ "name": "d", "persistentVolumeClaim": self.source });
            let volume: Volume = serde_json::from_value(volume).unwrap();
            let host = Host {
                client: &api.client(),
                storage,
                node: "a",
                labels: &BTreeMap::from([("zone".to_owned(), "z".to_owned())]),
                is_begun: self.is_begun,
            };
            resolve(&host, &pod, &claim_of(&volume, &pod).unwrap()).await
        }
    }

    fn storage(dir: &tempfile::TempDir) -> Storage {
        let storage = Storage::new(dir.path().join("storage"));
        storage.make_root().unwrap();
        storage
    }

    #[tokio::test]
    async fn volume_of_this_nodes_storage_is_made_when_a_pod_comes() {
        let dir = tempfile::tempdir().unwrap();
        let storage = storage(&dir);
        let path = storage.root().join("pvc-u_n_c");
        let mut case = case();
        case.volume["spec"]["local"] = json!({ "path": path });
        case.source["readOnly"] = json!(true);
        let ready = case.resolve(&storage).await.unwrap();
        assert!(path.is_dir());
        assert_eq!(
            ready,
            Ready {
                path,
                read_only: true
            }
        );
    }

    #[tokio::test]
    async fn local_volume_elsewhere_must_be_there() {
        let dir = tempfile::tempdir().unwrap();
        let mut case = case();
        case.volume["spec"]["local"] = json!({ "path": dir.path().join("none") });
        let why = case.resolve(&storage(&dir)).await.unwrap_err();
        assert!(why.contains("is not a directory"), "{why}");
    }

    #[tokio::test]
    async fn pod_does_not_start_with_what_is_not_its_own() {
        let refused = async |what: &str, change: &dyn Fn(&mut Case)| {
            let dir = tempfile::tempdir().unwrap();
            let mut case = case();
            case.volume["spec"]["hostPath"] = json!({ "path": dir.path() });
            change(&mut case);
            let resolved = case.resolve(&storage(&dir)).await;
            match resolved {
                Ok(_) => assert_eq!(what, ""),
                Err(why) => assert!(!what.is_empty() && why.contains(what), "{why}"),
            }
        };
        refused("", &|_| {}).await;
        refused("PVC is not bound", &|case| {
            case.claim["status"]["phase"] = json!("Pending");
        })
        .await;
        let ending = json!("2026-01-01T00:00:00Z");
        refused("PVC is being deleted", &|case| {
            case.claim["metadata"]["deletionTimestamp"] = ending.clone();
        })
        .await;
        refused("", &|case| {
            case.claim["metadata"]["deletionTimestamp"] = ending.clone();
            case.is_begun = true;
        })
        .await;
        refused("not bound to this claim", &|case| {
            case.volume["spec"]["claimRef"]["uid"] = json!("other");
        })
        .await;
        refused("NodeAffinity check failed", &|case| {
            let term = json!({ "matchExpressions": [{ "key": "zone", "operator": "In", "values": ["y"] }] });
            case.volume["spec"]["nodeAffinity"] = json!({ "required": { "nodeSelectorTerms": [term] } });
        })
        .await;
    }
}

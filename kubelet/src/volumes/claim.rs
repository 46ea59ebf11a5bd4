//! PersistentVolumeClaims whose volume is a path of this node (`hostPath`, `local`).

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod, Volume};
use kube::{Api, Client};

use super::{Ready, host_path};

/// The claim a volume stands for, if it stands for one.
pub fn claim_of(volume: &Volume, pod: &Pod) -> Option<String> {
    if let Some(claim) = &volume.persistent_volume_claim {
        return Some(claim.claim_name.clone());
    }
    let pod = pod.metadata.name.as_deref().unwrap_or_default();
    volume
        .ephemeral
        .as_ref()
        .map(|_| format!("{pod}-{}", volume.name))
}

/// Finds the path behind the claim `name` of the pod's namespace.
pub async fn resolve(client: &Client, pod: &Pod, name: &str) -> Result<Ready, String> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    let claim = claims.get_opt(name).await.map_err(|e| e.to_string())?;
    let claim = claim.ok_or_else(|| format!("persistentvolumeclaim \"{name}\" not found"))?;
    let bound = claim.status.and_then(|status| status.phase).as_deref() == Some("Bound");
    let volume = claim
        .spec
        .and_then(|spec| spec.volume_name)
        .filter(|_| bound);
    let volume = volume.ok_or_else(|| "PersistentVolumeClaim is not bound".to_owned())?;
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    let found = volumes.get_opt(&volume).await.map_err(|e| e.to_string())?;
    let found = found.ok_or_else(|| format!("persistentvolume \"{volume}\" not found"))?;
    let spec = found.spec.unwrap_or_default();
    let (path, kind) = match (spec.host_path, spec.local) {
        (Some(host_path), _) => (host_path.path, host_path.type_.unwrap_or_default()),
        (None, Some(local)) => (local.path, "Directory".to_owned()),
        (None, None) => return Err("no volume plugin matched".to_owned()),
    };
    host_path::prepare(Path::new(&path), &kind)?;
    Ok(Ready {
        path: PathBuf::from(path),
        read_only: false,
    })
}

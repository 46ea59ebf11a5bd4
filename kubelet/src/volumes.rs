//! A pod's volumes: made before its containers, kept up to date while they
//! run, removed after them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PodSpec, Volume};
use nix::mount::MsFlags;

use crate::dirs::{PodDirs, mount_memory};
use crate::env::Lookup;
use crate::objects::{Key, Kind};
use crate::spec::user;
use crate::storage::Storage;

pub mod atomic_dir;
mod claim;
mod empty_dir;
mod host_path;
mod ownership;
pub mod payload;
pub mod sub_path;

use ownership::Access;
use payload::{Sources, Tokens};

/// A volume that containers can mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    pub path: PathBuf,
    /// The content is Kubernetes', not the container's to change.
    pub read_only: bool,
}

/// All of a pod's volumes by name.
pub type Volumes = BTreeMap<String, Ready>;

/// Why a volume could not be made.
#[derive(Debug)]
pub struct Problem {
    pub volume: String,
    pub message: String,
}

/// What volumes need of the node, besides the pod itself.
pub struct Host<'a> {
    pub client: &'a kube::Client,
    pub storage: &'a Storage,
    pub node: &'a str,
    pub labels: &'a BTreeMap<String, String>,
    /// The pod was running before.
    pub is_begun: bool,
}

/// Makes all volumes of the pod; doing it again changes nothing that is right.
///
/// # Errors
/// The first volume that cannot be made, in the words of Kubernetes' event.
pub async fn set_up<L: Lookup, T: Tokens>(
    host: &Host<'_>,
    sources: &Sources<'_, L, T>,
    dirs: &PodDirs,
) -> Result<Volumes, Problem> {
    let mut ready = Volumes::new();
    let spec = sources.pod.spec.as_ref();
    for volume in spec
        .and_then(|spec| spec.volumes.as_ref())
        .into_iter()
        .flatten()
    {
        let made = set_up_one(host, volume, sources, dirs).await;
        let made = made.map_err(|message| Problem {
            volume: volume.name.clone(),
            message,
        })?;
        ready.insert(volume.name.clone(), made);
    }
    Ok(ready)
}

async fn set_up_one<L: Lookup, T: Tokens>(
    host: &Host<'_>,
    volume: &Volume,
    sources: &Sources<'_, L, T>,
    dirs: &PodDirs,
) -> Result<Ready, String> {
    let group = fs_group(sources.pod.spec.as_ref())?;
    if let Some(source) = &volume.empty_dir {
        let path = dirs.volume(&volume.name);
        empty_dir::make(&path, source, group).map_err(|e| e.to_string())?;
        return Ok(Ready {
            path,
            read_only: false,
        });
    }
    if let Some(source) = &volume.host_path {
        host_path::prepare(
            Path::new(&source.path),
            source.type_.as_deref().unwrap_or_default(),
        )?;
        return Ok(Ready {
            path: PathBuf::from(&source.path),
            read_only: false,
        });
    }
    if let Some(wanted) = claim::claim_of(volume, sources.pod) {
        return claim::resolve(host, sources.pod, &wanted).await;
    }
    write_content(volume, sources, dirs).await
}

/// Writes the files of a volume whose content the cluster decides.
async fn write_content<L: Lookup, T: Tokens>(
    volume: &Volume,
    sources: &Sources<'_, L, T>,
    dirs: &PodDirs,
) -> Result<Ready, String> {
    let payload = sources.payload(volume).await.map_err(|e| e.to_string())?;
    let payload = payload.ok_or_else(|| "no volume plugin matched".to_owned())?;
    let group = fs_group(sources.pod.spec.as_ref())?;
    let own = |path: &Path| match group {
        Some(group) => ownership::give_to_group(path, group, Access::ReadOnly),
        None => Ok(()),
    };
    let write = || -> io::Result<PathBuf> {
        let path = content_dir(volume, dirs)?;
        if atomic_dir::write(&path, &payload, Timestamp::now(), own)? {
            own(&path)?;
        }
        Ok(path)
    };
    Ok(Ready {
        path: write().map_err(|e| e.to_string())?,
        read_only: true,
    })
}

/// ConfigMaps are on disk, everything that may be secret in memory.
fn content_dir(volume: &Volume, dirs: &PodDirs) -> io::Result<PathBuf> {
    let path = if volume.config_map.is_some() {
        dirs.volume(&volume.name)
    } else {
        let memory = dirs.memory();
        mount_memory(&memory, MsFlags::empty(), "mode=0755")?;
        memory.join(&volume.name)
    };
    std::fs::create_dir_all(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// Brings the content of the pod's volumes up to date.
pub async fn refresh<L: Lookup, T: Tokens>(
    sources: &Sources<'_, L, T>,
    dirs: &PodDirs,
) -> Result<(), Problem> {
    let spec = sources.pod.spec.as_ref();
    for volume in spec
        .and_then(|spec| spec.volumes.as_ref())
        .into_iter()
        .flatten()
        .filter(|v| has_content(v))
    {
        let written = write_content(volume, sources, dirs).await;
        written.map_err(|message| Problem {
            volume: volume.name.clone(),
            message,
        })?;
    }
    Ok(())
}

fn has_content(volume: &Volume) -> bool {
    volume.config_map.is_some()
        || volume.secret.is_some()
        || volume.projected.is_some()
        || volume.downward_api.is_some()
}

/// The objects whose change changes a volume of the pod.
pub fn watched(spec: &PodSpec, namespace: &str) -> BTreeSet<Key> {
    let mut keys = BTreeSet::new();
    let mut add = |kind, name: &str| {
        keys.insert(Key {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        });
    };
    for volume in spec.volumes.iter().flatten() {
        if let Some(source) = &volume.config_map {
            add(Kind::ConfigMap, &source.name);
        }
        if let Some(name) = volume
            .secret
            .as_ref()
            .and_then(|source| source.secret_name.as_ref())
        {
            add(Kind::Secret, name);
        }
        for source in volume
            .projected
            .iter()
            .flat_map(|p| p.sources.iter().flatten())
        {
            if let Some(map) = &source.config_map {
                add(Kind::ConfigMap, &map.name);
            }
            if let Some(secret) = &source.secret {
                add(Kind::Secret, &secret.name);
            }
        }
    }
    keys
}

fn fs_group(spec: Option<&PodSpec>) -> Result<Option<u32>, String> {
    let context = spec.and_then(|spec| spec.security_context.as_ref());
    let group = context.and_then(|context| context.fs_group);
    group
        .map(|group| user::id(group).map_err(|e| format!("fsGroup: {e}")))
        .transpose()
}

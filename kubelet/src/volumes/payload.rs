//! The files that ConfigMaps, Secrets, the downward API and tokens come to.

use k8s_openapi::api::core::v1::{
    ConfigMap, DownwardAPIVolumeFile, KeyToPath, Pod, ProjectedVolumeSource, Secret,
    ServiceAccountTokenProjection, Volume, VolumeProjection,
};

use super::atomic_dir::{File, Payload};
use crate::env::{Lookup, Problem as LookupProblem};
use crate::fields::{self, Place};
use crate::resources::{self, Allocatable};

const DEFAULT_MODE: i32 = 0o644;

/// Why a volume has no content, in Kubernetes' words.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("{0}")]
    Lookup(#[from] LookupProblem),
    #[error("configmap references non-existent config key: {0}")]
    NoConfigKey(String),
    #[error("references non-existent secret key: {0}")]
    NoSecretKey(String),
    #[error("unable to get {0} from pod")]
    NoField(String),
    #[error("fetch token of service account: {0}")]
    Token(String),
}

/// Tokens of the pod's service account.
pub trait Tokens: Send + Sync {
    fn token(
        &self,
        projection: &ServiceAccountTokenProjection,
    ) -> impl Future<Output = Result<String, Problem>> + Send;
}

/// What volumes' content is made from.
pub struct Sources<'a, L, T> {
    pub pod: &'a Pod,
    pub place: &'a Place,
    pub allocatable: &'a Allocatable,
    pub lookup: &'a L,
    pub tokens: &'a T,
}

impl<L: Lookup, T: Tokens> Sources<'_, L, T> {
    /// The files of `volume`; `None` if it is of no kind that has content.
    pub async fn payload(&self, volume: &Volume) -> Result<Option<Payload>, Problem> {
        let mut files = Payload::new();
        if let Some(source) = &volume.config_map {
            let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
            let optional = source.optional.unwrap_or_default();
            self.config_map(
                &source.name,
                source.items.as_deref(),
                mode,
                optional,
                &mut files,
            )
            .await?;
        } else if let Some(source) = &volume.secret {
            let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
            let name = source.secret_name.as_deref().unwrap_or_default();
            let optional = source.optional.unwrap_or_default();
            self.secret(name, source.items.as_deref(), mode, optional, &mut files)
                .await?;
        } else if let Some(source) = &volume.downward_api {
            let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
            self.downward(
                source.items.as_deref().unwrap_or_default(),
                mode,
                &mut files,
            )?;
        } else if let Some(source) = &volume.projected {
            self.projected(source, &mut files).await?;
        } else {
            return Ok(None);
        }
        Ok(Some(files))
    }

    async fn projected(
        &self,
        source: &ProjectedVolumeSource,
        files: &mut Payload,
    ) -> Result<(), Problem> {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        for projection in source.sources.iter().flatten() {
            self.projection(projection, mode, files).await?;
        }
        Ok(())
    }

    async fn projection(
        &self,
        projection: &VolumeProjection,
        mode: i32,
        files: &mut Payload,
    ) -> Result<(), Problem> {
        if let Some(map) = &projection.config_map {
            self.config_map(
                &map.name,
                map.items.as_deref(),
                mode,
                map.optional.unwrap_or_default(),
                files,
            )
            .await?;
        }
        if let Some(secret) = &projection.secret {
            self.secret(
                &secret.name,
                secret.items.as_deref(),
                mode,
                secret.optional.unwrap_or_default(),
                files,
            )
            .await?;
        }
        if let Some(downward) = &projection.downward_api {
            self.downward(downward.items.as_deref().unwrap_or_default(), mode, files)?;
        }
        if let Some(token) = &projection.service_account_token {
            let data = self.tokens.token(token).await?.into_bytes();
            let mode = if self.has_fs_group() { 0o600 } else { mode };
            files.insert(
                token.path.clone(),
                File {
                    data,
                    mode: mode as u32,
                },
            );
        }
        Ok(())
    }

    fn has_fs_group(&self) -> bool {
        let spec = self.pod.spec.as_ref();
        spec.and_then(|spec| spec.security_context.as_ref()?.fs_group)
            .is_some()
    }

    async fn config_map(
        &self,
        name: &str,
        items: Option<&[KeyToPath]>,
        mode: i32,
        optional: bool,
        files: &mut Payload,
    ) -> Result<(), Problem> {
        let Some(map) = self.lookup.config_map(name).await? else {
            return absent("configmap", name, optional);
        };
        let data = |key: &str| config_data(&map, key);
        let keys = map
            .data
            .iter()
            .flat_map(|m| m.keys())
            .chain(map.binary_data.iter().flat_map(|m| m.keys()));
        let missing = |key: &str| Problem::NoConfigKey(key.to_owned());
        select(
            keys,
            data,
            items,
            mode,
            (!optional).then_some(&missing),
            files,
        )
    }

    async fn secret(
        &self,
        name: &str,
        items: Option<&[KeyToPath]>,
        mode: i32,
        optional: bool,
        files: &mut Payload,
    ) -> Result<(), Problem> {
        let Some(secret) = self.lookup.secret(name).await? else {
            return absent("secret", name, optional);
        };
        let data = |key: &str| secret_data(&secret, key);
        let keys = secret.data.iter().flat_map(|m| m.keys());
        let missing = |key: &str| Problem::NoSecretKey(key.to_owned());
        select(
            keys,
            data,
            items,
            mode,
            (!optional).then_some(&missing),
            files,
        )
    }

    fn downward(
        &self,
        items: &[DownwardAPIVolumeFile],
        mode: i32,
        files: &mut Payload,
    ) -> Result<(), Problem> {
        for item in items {
            let text = match (&item.field_ref, &item.resource_field_ref) {
                (Some(field), _) => fields::value(self.pod, self.place, &field.field_path)
                    .ok_or_else(|| Problem::NoField(field.field_path.clone()))?,
                (None, Some(field)) => {
                    let spec = self.pod.spec.as_ref();
                    let container = spec.and_then(|s| {
                        resources::field_container(s, field.container_name.as_deref(), None)
                    });
                    let value = container.and_then(|c| {
                        resources::field(
                            &c,
                            &field.resource,
                            field.divisor.as_ref(),
                            self.allocatable,
                        )
                    });
                    value
                        .ok_or_else(|| Problem::NoField(field.resource.clone()))?
                        .to_string()
                }
                (None, None) => continue,
            };
            let mode = item.mode.unwrap_or(mode) as u32;
            files.insert(
                item.path.clone(),
                File {
                    data: text.into_bytes(),
                    mode,
                },
            );
        }
        Ok(())
    }
}

fn absent(kind: &'static str, name: &str, optional: bool) -> Result<(), Problem> {
    if optional {
        return Ok(());
    }
    Err(LookupProblem::NotFound {
        kind,
        name: name.to_owned(),
    }
    .into())
}

fn config_data(map: &ConfigMap, key: &str) -> Option<Vec<u8>> {
    let text = map
        .data
        .as_ref()
        .and_then(|data| data.get(key))
        .map(|text| text.as_bytes().to_vec());
    text.or_else(|| Some(map.binary_data.as_ref()?.get(key)?.0.clone()))
}

fn secret_data(secret: &Secret, key: &str) -> Option<Vec<u8>> {
    Some(secret.data.as_ref()?.get(key)?.0.clone())
}

/// All keys, or the listed ones under the paths they ask for.
fn select<'k>(
    keys: impl Iterator<Item = &'k String>,
    data: impl Fn(&str) -> Option<Vec<u8>>,
    items: Option<&[KeyToPath]>,
    mode: i32,
    missing: Option<&dyn Fn(&str) -> Problem>,
    files: &mut Payload,
) -> Result<(), Problem> {
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        for key in keys {
            let data = data(key).unwrap_or_default();
            files.insert(
                key.clone(),
                File {
                    data,
                    mode: mode as u32,
                },
            );
        }
        return Ok(());
    };
    for item in items {
        match (data(&item.key), missing) {
            (Some(data), _) => {
                let mode = item.mode.unwrap_or(mode) as u32;
                files.insert(item.path.clone(), File { data, mode });
            }
            (None, Some(missing)) => return Err(missing(&item.key)),
            (None, None) => {}
        }
    }
    Ok(())
}

//! A container's environment, from its pod, ConfigMaps, Secrets and Services.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVarSource, Pod, Secret};

use crate::expand::expand;
use crate::fields::{self, Place};
use crate::resources::{self, Allocatable};

/// Why a container's configuration cannot be made: `CreateContainerConfigError`.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("{kind} {name:?} not found")]
    NotFound { kind: &'static str, name: String },
    #[error("couldn't find key {key} in {kind} {namespace}/{name}")]
    NoKey {
        key: String,
        kind: &'static str,
        namespace: String,
        name: String,
    },
    #[error("unsupported {what}: {path}")]
    Unsupported { what: &'static str, path: String },
    #[error("{0}")]
    Api(String),
}

/// Objects of the pod's namespace; `None` if there is no such object.
pub trait Lookup: Send + Sync {
    fn config_map(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<std::sync::Arc<ConfigMap>>, Problem>> + Send;
    fn secret(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<std::sync::Arc<Secret>>, Problem>> + Send;
}

/// What an environment is made from, besides the container.
pub struct Sources<'a, L> {
    pub pod: &'a Pod,
    pub place: &'a Place,
    pub services: BTreeMap<String, String>,
    pub allocatable: &'a Allocatable,
    pub lookup: &'a L,
}

/// The variables of `container`: its own over `envFrom` over Services.
///
/// # Errors
/// An object or key that is not optional is missing.
pub async fn of_container<L: Lookup>(
    container: &Container,
    sources: Sources<'_, L>,
) -> Result<BTreeMap<String, String>, Problem> {
    let mut made = from_objects(container, sources.lookup).await?;
    for variable in container.env.iter().flatten() {
        let value = match (&variable.value_from, variable.value.as_deref()) {
            (Some(source), None | Some("")) => {
                match from_source(source, container, &sources).await? {
                    Some(value) => value,
                    None => continue,
                }
            }
            (_, value) => expand(value.unwrap_or_default(), |name| {
                made.get(name)
                    .or_else(|| sources.services.get(name))
                    .map(String::as_str)
            }),
        };
        made.insert(variable.name.clone(), value);
    }
    let mut all = sources.services;
    all.extend(made);
    Ok(all)
}

async fn from_objects<L: Lookup>(
    container: &Container,
    lookup: &L,
) -> Result<BTreeMap<String, String>, Problem> {
    let mut made = BTreeMap::new();
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let mut add = |key: &String, value: String| {
            let name = format!("{prefix}{key}");
            if is_variable_name(&name) {
                made.insert(name, value);
            }
        };
        if let Some(reference) = &source.config_map_ref {
            match lookup.config_map(&reference.name).await? {
                Some(map) => map
                    .data
                    .iter()
                    .flatten()
                    .for_each(|(k, v)| add(k, v.clone())),
                None => absent("configmap", &reference.name, reference.optional)?,
            }
        }
        if let Some(reference) = &source.secret_ref {
            match lookup.secret(&reference.name).await? {
                Some(secret) => secret
                    .data
                    .iter()
                    .flatten()
                    .for_each(|(k, v)| add(k, text(&v.0))),
                None => absent("secret", &reference.name, reference.optional)?,
            }
        }
    }
    Ok(made)
}

/// Anything printable but `=`, as Kubernetes has it since 1.30.
fn is_variable_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| (b' '..=b'~').contains(&b) && b != b'=')
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn absent(kind: &'static str, name: &str, optional: Option<bool>) -> Result<(), Problem> {
    match optional {
        Some(true) => Ok(()),
        _ => Err(Problem::NotFound {
            kind,
            name: name.to_owned(),
        }),
    }
}

/// The value; `None` if the source is optional and absent.
async fn from_source<L: Lookup>(
    source: &EnvVarSource,
    container: &Container,
    sources: &Sources<'_, L>,
) -> Result<Option<String>, Problem> {
    if let Some(field) = &source.field_ref {
        let value = fields::value(sources.pod, sources.place, &field.field_path);
        return value
            .map(Some)
            .ok_or_else(|| unsupported("fieldPath", &field.field_path));
    }
    if let Some(field) = &source.resource_field_ref {
        let spec = sources.pod.spec.as_ref();
        let named = spec.and_then(|spec| {
            resources::field_container(spec, field.container_name.as_deref(), Some(container))
        });
        let value = named.and_then(|c| {
            resources::field(
                &c,
                &field.resource,
                field.divisor.as_ref(),
                sources.allocatable,
            )
        });
        return value
            .map(|v| Some(v.to_string()))
            .ok_or_else(|| unsupported("resource", &field.resource));
    }
    from_key(source, sources).await
}

/// The value under a key of a ConfigMap or Secret.
async fn from_key<L: Lookup>(
    source: &EnvVarSource,
    sources: &Sources<'_, L>,
) -> Result<Option<String>, Problem> {
    if let Some(key) = &source.config_map_key_ref {
        let found = sources.lookup.config_map(&key.name).await?;
        let value = found.as_ref().map(|map| {
            map.data
                .as_ref()
                .and_then(|data| data.get(&key.key))
                .cloned()
        });
        return keyed(
            value,
            sources,
            ("configmap", "ConfigMap"),
            &key.name,
            &key.key,
            key.optional,
        );
    }
    if let Some(key) = &source.secret_key_ref {
        let found = sources.lookup.secret(&key.name).await?;
        let value = found.as_ref().map(|secret| {
            secret
                .data
                .as_ref()
                .and_then(|data| data.get(&key.key))
                .map(|v| text(&v.0))
        });
        return keyed(
            value,
            sources,
            ("secret", "Secret"),
            &key.name,
            &key.key,
            key.optional,
        );
    }
    Err(unsupported("valueFrom", "of this kind"))
}

fn unsupported(what: &'static str, path: &str) -> Problem {
    Problem::Unsupported {
        what,
        path: path.to_owned(),
    }
}

/// The value under a key: outer `None` without the object, inner without the key.
fn keyed<L>(
    value: Option<Option<String>>,
    sources: &Sources<'_, L>,
    (kind, title): (&'static str, &'static str),
    name: &str,
    key: &str,
    optional: Option<bool>,
) -> Result<Option<String>, Problem> {
    match value {
        Some(Some(value)) => Ok(Some(value)),
        _ if optional == Some(true) => Ok(None),
        None => Err(Problem::NotFound {
            kind,
            name: name.to_owned(),
        }),
        Some(None) => Err(Problem::NoKey {
            key: key.to_owned(),
            kind: title,
            namespace: sources.pod.metadata.namespace.clone().unwrap_or_default(),
            name: name.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests;

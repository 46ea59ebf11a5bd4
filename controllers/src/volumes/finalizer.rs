//! Taking one finalizer off an object, or putting it on.

use std::fmt::Debug;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use serde_json::json;

/// Writes the finalizers without `finalizer`, unless the object has changed since.
pub async fn remove<K>(api: &Api<K>, metadata: &ObjectMeta, finalizer: &str) -> kube::Result<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let finalizers = metadata.finalizers.as_deref().unwrap_or_default();
    let rest = finalizers.iter().filter(|f| *f != finalizer).cloned();
    write(api, metadata, rest.collect()).await
}

/// Writes the finalizers with `finalizer` after them, unless the object has changed since.
pub async fn add<K>(api: &Api<K>, metadata: &ObjectMeta, finalizer: &str) -> kube::Result<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let finalizers = metadata.finalizers.as_deref().unwrap_or_default();
    let mut finalizers = finalizers.to_vec();
    finalizers.push(finalizer.to_owned());
    write(api, metadata, finalizers).await
}

async fn write<K>(api: &Api<K>, metadata: &ObjectMeta, finalizers: Vec<String>) -> kube::Result<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let patch = json!({ "metadata": {
        "uid": metadata.uid,
        "resourceVersion": metadata.resource_version,
        "finalizers": finalizers,
    } });
    let name = metadata.name.as_deref().unwrap_or_default();
    api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await
}

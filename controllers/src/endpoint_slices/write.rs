//! Carrying out a plan.

use futures::future::join_all;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::{DeleteParams, PostParams};

use super::plan::Plan;
use crate::cluster::Cluster;
use crate::error::Error;
use crate::key::Key;

/// Writes what the plan says; the first failure is told after all were tried.
pub async fn carry_out(cluster: &Cluster, key: &Key, plan: Plan) -> Result<(), Error> {
    let api: Api<EndpointSlice> = Api::namespaced(cluster.client.clone(), &key.namespace);
    let api = &api;
    let created = join_all(
        plan.create
            .iter()
            .map(|slice| create(cluster, api, key, slice)),
    );
    let updated = join_all(plan.update.iter().map(|slice| update(cluster, api, slice)));
    let mut results = created.await;
    results.extend(updated.await);
    // What no longer serves goes last, so that nobody sees less than there is.
    for slice in &plan.delete {
        results.push(delete(cluster, api, slice).await);
    }
    results.into_iter().collect()
}

async fn create(
    cluster: &Cluster,
    api: &Api<EndpointSlice>,
    key: &Key,
    slice: &EndpointSlice,
) -> Result<(), Error> {
    let made = api.create(&PostParams::default(), slice).await;
    let made = made.map_err(Error::api("create an EndpointSlice of", "Service", key))?;
    cluster.endpoint_slices.note(made);
    Ok(())
}

async fn update(
    cluster: &Cluster,
    api: &Api<EndpointSlice>,
    slice: &EndpointSlice,
) -> Result<(), Error> {
    let key = Key::of(slice);
    let written = api.replace(&key.name, &PostParams::default(), slice).await;
    let written = written.map_err(Error::api("update", "EndpointSlice", &key))?;
    cluster.endpoint_slices.note(written);
    Ok(())
}

async fn delete(
    cluster: &Cluster,
    api: &Api<EndpointSlice>,
    slice: &EndpointSlice,
) -> Result<(), Error> {
    let key = Key::of(slice);
    match api.delete(&key.name, &DeleteParams::default()).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(source) => return Err(Error::api("delete", "EndpointSlice", &key)(source)),
    }
    cluster.endpoint_slices.forget(&key);
    Ok(())
}

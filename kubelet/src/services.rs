//! The cluster's Services, for the environment of containers.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Service;
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;

use crate::service_env;

/// All Services, kept up to date by a watch.
#[derive(Clone)]
pub struct Services(Store<Service>);

impl Services {
    /// Starts watching, until `shutdown`.
    pub fn start(client: Client, shutdown: CancellationToken) -> Self {
        let (reader, writer) = reflector::store();
        let stream =
            watcher(Api::<Service>::all(client), watcher::Config::default()).default_backoff();
        let mut stream = reflector::reflector(writer, stream).boxed();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    event = stream.next() => match event {
                        Some(Err(e)) => tracing::debug!("watch services: {e}"),
                        Some(Ok(_)) => {}
                        None => return,
                    },
                    () = shutdown.cancelled() => return,
                }
            }
        });
        Self(reader)
    }

    /// The variables of a container, once Services were read at all.
    pub async fn variables(&self, namespace: &str, links: bool) -> BTreeMap<String, String> {
        // An error is a writer that is gone: the agent is stopping.
        let _ = self.0.wait_until_ready().await;
        let services = self.0.state();
        service_env::variables(services.iter().map(AsRef::as_ref), namespace, links)
    }
}

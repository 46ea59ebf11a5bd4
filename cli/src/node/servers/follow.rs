//! Which servers there are, by the endpoints of the Service `kubernetes`.

use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;

use super::{Address, Servers};

/// Follows them until `shutdown`.
pub async fn follow(servers: Arc<Servers>, client: Client, shutdown: CancellationToken) {
    let api: Api<EndpointSlice> = Api::namespaced(client, "default");
    let own = watcher::Config::default().fields("metadata.name=kubernetes");
    let slices = watcher(api, own).default_backoff().applied_objects();
    let mut slices = slices.boxed();
    while let Some(Some(slice)) = shutdown.run_until_cancelled(slices.next()).await {
        match slice {
            Ok(slice) => servers.learn(addresses(&slice)),
            Err(error) => tracing::debug!(%error, "watch the endpoints of the Service kubernetes"),
        }
    }
}

fn addresses(slice: &EndpointSlice) -> Vec<Address> {
    let ports = slice.ports.iter().flatten();
    let Some(port) = ports.filter_map(|port| port.port).next() else {
        return Vec::new();
    };
    let all = slice.endpoints.iter().flatten().flat_map(|e| &e.addresses);
    let mut found: Vec<Address> = all
        .map(|ip| match slice.address_type.as_str() {
            "IPv6" => format!("[{ip}]:{port}"),
            _ => format!("{ip}:{port}"),
        })
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_endpoint_is_a_server() {
        let slice = serde_json::json!({
            "addressType": "IPv4", "ports": [{ "name": "https", "port": 6443 }],
            "endpoints": [{ "addresses": ["10.0.0.2"] }, { "addresses": ["10.0.0.1"] }],
        });
        let slice = serde_json::from_value(slice).unwrap();
        assert_eq!(addresses(&slice), ["10.0.0.1:6443", "10.0.0.2:6443"]);
        assert!(addresses(&EndpointSlice::default()).is_empty());
    }
}

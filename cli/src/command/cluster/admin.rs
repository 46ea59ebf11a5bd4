//! Being the administrator of a cluster of this machine.

use std::path::PathBuf;
use std::time::Duration;

use ::cluster::{Place, Plan, kubeconfig};
use anyhow::{Context, bail};
use clap::Args;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::node::ready::{self, Found};

const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";

/// For a node that was started to be known to the server.
const REGISTERED_WITHIN: Duration = Duration::from_secs(60);

/// Which kubeconfig a cluster is put into, and taken out of.
#[derive(Args, Clone, Debug)]
pub struct UserFile {
    /// Kubeconfig to change [default: $KUBECONFIG, else ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

impl UserFile {
    pub fn path(&self) -> anyhow::Result<PathBuf> {
        if let Some(path) = &self.kubeconfig {
            return Ok(path.clone());
        }
        let listed = std::env::var_os("KUBECONFIG").unwrap_or_default();
        let listed = std::env::split_paths(&listed).find(|path| !path.as_os_str().is_empty());
        if let Some(path) = listed {
            return Ok(path);
        }
        let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
        let home =
            home.context("there is no $HOME for a kubeconfig: name one with --kubeconfig")?;
        Ok(PathBuf::from(home).join(".kube/config"))
    }
}

/// The cluster's own kubeconfig, for this machine.
pub fn config(place: &Place) -> anyhow::Result<serde_yaml::Value> {
    // Read anew: a port left open was chosen by the first start.
    let plan = place.read()?;
    let path = place
        .data_dir(&plan.control_plane().name)
        .join("admin.kubeconfig");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("read {}; was the cluster ever started?", path.display()))?;
    let api = (plan.api_address, plan.api_port).into();
    Ok(kubeconfig::of_cluster(&text, place.name(), api)?)
}

pub async fn client(place: &Place) -> anyhow::Result<Client> {
    let text = kubeconfig::text(&config(place)?);
    let config = Kubeconfig::from_yaml(&text).context("read the cluster's kubeconfig")?;
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(config, &options).await?;
    Ok(Client::try_from(config)?)
}

/// Labels the control plane's node as such: no node may give itself that label.
pub async fn label_control_plane(client: Client, plan: &Plan) -> anyhow::Result<()> {
    let (nodes, name) = (Api::<Node>::all(client), &plan.control_plane().name);
    let known = kube::runtime::wait::await_condition(nodes.clone(), name, |node: Option<&Node>| {
        node.is_some()
    });
    tokio::time::timeout(REGISTERED_WITHIN, known)
        .await
        .with_context(|| format!("node {name} has not registered within a minute"))??;
    let labels = json!({ "metadata": { "labels": { CONTROL_PLANE: "" } } });
    nodes
        .patch(name, &PatchParams::default(), &Patch::Merge(labels))
        .await?;
    Ok(())
}

/// Waits until every node is Ready.
pub async fn wait_ready(client: Client, plan: &Plan, patience: Duration) -> anyhow::Result<()> {
    let end = tokio::time::Instant::now() + patience;
    for node in &plan.nodes {
        let left = end.saturating_duration_since(tokio::time::Instant::now());
        let found = ready::wait(client.clone(), &node.name, left, &CancellationToken::new()).await;
        if !matches!(found, Some(Found::Ready { .. })) {
            bail!("node {} is not Ready within {patience:?}", node.name);
        }
    }
    Ok(())
}

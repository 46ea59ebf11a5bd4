//! The cluster that a command is about.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};
use clap::Args;
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::instance::InstanceFlags;

/// How commands find the cluster, under kubectl's names.
#[derive(Args, Clone, Debug)]
pub struct ClientFlags {
    /// Kubeconfig to use [default: $KUBECONFIG, else <data-dir>/admin.kubeconfig]
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig to use
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,

    /// Namespace to act in
    #[arg(short, long, global = true, value_name = "NAME")]
    pub namespace: Option<String>,

    #[command(flatten)]
    pub instance: InstanceFlags,
}

impl ClientFlags {
    /// A client, the namespace to act in, and where the server is.
    pub async fn connect(&self) -> anyhow::Result<(Client, String, String)> {
        let path = self.path()?;
        let mut config = load(&path, self.context.clone()).await?;
        if let Some(namespace) = &self.namespace {
            config.default_namespace.clone_from(namespace);
        }
        let namespace = config.default_namespace.clone();
        let url = config.cluster_url.to_string();
        Ok((Client::try_from(config)?, namespace, url))
    }

    /// A client that tells at once what the server refuses for now, and tries
    /// nothing again by itself.
    pub async fn client_without_retries(&self) -> anyhow::Result<Client> {
        let mut config = load(&self.path()?, self.context.clone()).await?;
        config.default_retry = false;
        Ok(Client::try_from(config)?)
    }

    fn path(&self) -> anyhow::Result<PathBuf> {
        if let Some(path) = &self.kubeconfig {
            return Ok(path.clone());
        }
        // Several files in $KUBECONFIG: the first that is there.
        let listed = std::env::var_os("KUBECONFIG").unwrap_or_default();
        let first = std::env::split_paths(&listed).find(|path| path.exists());
        match first {
            Some(path) => Ok(path),
            None => Ok(self.instance.instance()?.admin_kubeconfig()),
        }
    }
}

async fn load(path: &Path, context: Option<String>) -> anyhow::Result<kube::Config> {
    ensure!(
        path.exists(),
        "there is no kubeconfig {}; start a cluster with `skiff up`, or name its file with --kubeconfig or $KUBECONFIG",
        path.display()
    );
    let kubeconfig = Kubeconfig::read_from(path)
        .map_err(|error| anyhow!("kubeconfig {} cannot be used: {error}", path.display()))?;
    if let Some(named) = &context {
        let has_it = kubeconfig.contexts.iter().any(|c| &c.name == named);
        ensure!(
            has_it,
            "kubeconfig {} has no context {named:?}",
            path.display()
        );
    }
    let options = KubeConfigOptions {
        context,
        ..KubeConfigOptions::default()
    };
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await;
    config.with_context(|| format!("use kubeconfig {}", path.display()))
}

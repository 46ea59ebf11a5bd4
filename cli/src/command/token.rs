//! `skiff token`: the tokens that machines join with.

mod list;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Client};
use pki::join::JoinToken;
use serde_json::json;

use crate::client::ClientFlags;
use crate::cluster_flags::parse_duration;
use crate::node::join::authority;

const NAMESPACE: &str = "kube-system";
const TYPE: &str = "bootstrap.kubernetes.io/token";
const PREFIX: &str = "bootstrap-token-";
/// How long a server may take to tell of its authority.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Subcommand)]
pub enum Token {
    /// Make a token and print it; give it to `skiff agent --token` on another machine
    Create(Create),
    /// Show the tokens there are, without their secrets
    List(List),
    /// Let nobody join by a token any more; nodes that have joined stay
    Revoke(Revoke),
}

#[derive(Args)]
pub struct Create {
    #[command(flatten)]
    client: ClientFlags,

    /// How long machines can join by it, such as 30m or 24h; 0s: until it is revoked
    #[arg(long, default_value = "24h", value_name = "DURATION", value_parser = parse_duration)]
    ttl: Duration,

    /// What it is for
    #[arg(long, default_value = "", value_name = "TEXT")]
    description: String,
}

#[derive(Args)]
pub struct List {
    #[command(flatten)]
    client: ClientFlags,
}

#[derive(Args)]
pub struct Revoke {
    #[command(flatten)]
    client: ClientFlags,

    /// The six letters that a token begins with, or the whole token
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
}

impl Token {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Create(create) => create.run().await,
            Self::List(list) => list.run().await,
            Self::Revoke(revoke) => revoke.run().await,
        }
    }
}

impl Create {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let (client, _, _) = self.client.connect().await?;
        let token = JoinToken::generate(fingerprint(&client).await?);
        let made = secrets(client)
            .create(&PostParams::default(), &self.secret(&token)?)
            .await;
        made.context("make the token's Secret")?;
        println!("{}", token.to_text());
        Ok(ExitCode::SUCCESS)
    }

    /// The Secret that Kubernetes keeps a bootstrap token in.
    fn secret(&self, token: &JoinToken) -> anyhow::Result<Secret> {
        let mut data = json!({
            "token-id": token.id,
            "token-secret": token.secret,
            "usage-bootstrap-authentication": "true",
        });
        if !self.ttl.is_zero() {
            let ends = Timestamp::now().checked_add(SignedDuration::try_from(self.ttl)?);
            let ends = ends.with_context(|| format!("--ttl {:?} is too long", self.ttl))?;
            data["expiration"] = ends.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into();
        }
        if !self.description.is_empty() {
            data["description"] = self.description.as_str().into();
        }
        Ok(serde_json::from_value(json!({
            "metadata": { "name": format!("{PREFIX}{}", token.id), "namespace": NAMESPACE },
            "type": TYPE,
            "stringData": data,
        }))?)
    }
}

impl List {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let (client, _, _) = self.client.connect().await?;
        let params = ListParams::default().fields(&format!("type={TYPE}"));
        let found = secrets(client).list(&params).await;
        let found = found.context("list the tokens' Secrets")?;
        print!("{}", list::table(&found.items, Timestamp::now()));
        Ok(ExitCode::SUCCESS)
    }
}

impl Revoke {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let ids: anyhow::Result<Vec<&str>> = self.ids.iter().map(|text| id(text)).collect();
        let ids = ids?;
        let (client, _, _) = self.client.connect().await?;
        let api = secrets(client);
        for id in ids {
            let name = format!("{PREFIX}{id}");
            match api.delete(&name, &DeleteParams::default()).await {
                Ok(_) => println!("token {id} revoked"),
                Err(kube::Error::Api(status)) if status.code == 404 => {
                    bail!("there is no token {id}; see: skiff token list")
                }
                Err(error) => return Err(error).with_context(|| format!("revoke token {id}")),
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn secrets(client: Client) -> Api<Secret> {
    Api::namespaced(client, NAMESPACE)
}

/// Of the cluster's authority, by the word of a server that is trusted already.
async fn fingerprint(client: &Client) -> anyhow::Result<String> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), "kube-public");
    // A server that has just started writes it in a moment.
    let told = await_condition(api, "cluster-info", |info: Option<&ConfigMap>| {
        info.is_some()
    });
    let told = tokio::time::timeout(PATIENCE, told).await;
    let told =
        told.context("there is no ConfigMap kube-public/cluster-info: is the server well?")?;
    let info = told.context("read the ConfigMap kube-public/cluster-info")?;
    let mut data = info.and_then(|info| info.data).unwrap_or_default();
    let kubeconfig = data.remove("kubeconfig");
    let kubeconfig = kubeconfig.context("kube-public/cluster-info has no kubeconfig")?;
    Ok(pki::fingerprint(&authority::authority_in(&kubeconfig)?)?)
}

fn id(text: &str) -> anyhow::Result<&str> {
    let id = text.split('.').next().unwrap_or_default();
    let is_id = id.len() == 6
        && id
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    // The text may hold a secret, and is not repeated.
    ensure!(
        is_id,
        "a token is named by the six letters and digits before its dot"
    );
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_revoked_by_its_name_or_its_whole_text() {
        assert_eq!(id("abc123").unwrap(), "abc123");
        assert_eq!(id("abc123.0123456789abcdef@sha256:00").unwrap(), "abc123");
        assert!(id("ABC123").is_err() && id("").is_err());
        let error = id("a-secret.x").unwrap_err().to_string();
        assert!(error.contains("before its dot"), "{error}");
        assert!(!error.contains("a-secret"), "{error}");
    }
}

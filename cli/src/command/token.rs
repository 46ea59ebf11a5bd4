use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::PostParams;
use pki::join::JoinToken;
use serde_json::json;

use crate::instance::InstanceFlags;

/// `skiff token`: the tokens that machines join with.
#[derive(Subcommand)]
pub enum Token {
    /// Make a token and print it; give it to `skiff agent --token` on another machine
    Create(Create),
}

#[derive(Args)]
pub struct Create {
    #[command(flatten)]
    instance: InstanceFlags,

    /// How many hours the token is good for
    #[arg(long, default_value_t = 24, value_name = "HOURS", value_parser = clap::value_parser!(u64).range(1..=8760))]
    ttl_hours: u64,
}

impl Token {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Create(create) => create.run().await,
        }
    }
}

impl Create {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let instance = self.instance.instance()?;
        let client = crate::client::of_instance(&instance).await?;
        let authority = pki::Authority::load_or_create(&instance.pki_dir(), "ca", "skiff-ca")?;
        let token = JoinToken::generate(authority.fingerprint()?);
        let ttl = Duration::from_secs(self.ttl_hours * 3600);
        Api::namespaced(client, "kube-system")
            .create(&PostParams::default(), &secret(&token, ttl)?)
            .await?;
        println!("{}", token.to_text());
        Ok(ExitCode::SUCCESS)
    }
}

/// The Secret that Kubernetes keeps a bootstrap token in.
fn secret(token: &JoinToken, ttl: Duration) -> anyhow::Result<Secret> {
    let ends = jiff::Timestamp::now() + jiff::SignedDuration::try_from(ttl)?;
    Ok(serde_json::from_value(json!({
        "metadata": { "name": format!("bootstrap-token-{}", token.id), "namespace": "kube-system" },
        "type": "bootstrap.kubernetes.io/token",
        "stringData": {
            "token-id": token.id,
            "token-secret": token.secret,
            "expiration": ends.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "usage-bootstrap-authentication": "true",
            "usage-bootstrap-signing": "true",
            "description": "made by skiff token create",
        },
    }))?)
}

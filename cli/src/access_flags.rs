//! Flags that say who is believed and what is noted, under Kubernetes' names.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use apiserver::{Access, AuthorizationWebhook, FrontProxy, Issuer, TokenWebhook, audit};
use clap::Args;

use crate::cluster_flags::parse_duration;

#[derive(Args, Clone, Debug)]
pub struct AccessFlags {
    /// File of static bearer tokens: token,user,uid[,"group1,group2"] a line
    #[arg(long, value_name = "FILE")]
    pub token_auth_file: Option<PathBuf>,

    /// Whether requests without credentials are made by system:anonymous
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub anonymous_auth: bool,

    /// Audiences that service-account tokens must be for [default: their issuer]
    #[arg(long, value_name = "AUDIENCE", value_delimiter = ',')]
    pub api_audiences: Vec<String>,

    /// Who makes service-account tokens, as their claim `iss` says
    #[arg(long, value_name = "URL", default_value = apiserver::Config::ISSUER)]
    pub service_account_issuer: String,

    /// Public keys whose service-account tokens hold too, such as those of before
    #[arg(long, value_name = "FILE")]
    service_account_key_file: Vec<PathBuf>,

    /// File that says which objects are encrypted at rest, and with which keys
    #[arg(long, value_name = "FILE")]
    pub encryption_provider_config: Option<PathBuf>,

    /// Whether that file is read again when it changes
    #[arg(long, requires = "encryption_provider_config")]
    encryption_provider_config_automatic_reload: bool,

    /// File that configures admission plugins (PodSecurity: defaults and exemptions)
    #[arg(long, value_name = "FILE")]
    pub admission_control_config_file: Option<PathBuf>,

    #[command(flatten)]
    audit: AuditFlags,

    #[command(flatten)]
    proxy: RequestHeaderFlags,

    #[command(flatten)]
    webhook: WebhookFlags,

    #[command(flatten)]
    oidc: OidcFlags,
}

#[derive(Args, Clone, Debug)]
struct AuditFlags {
    /// File that says what is audited
    #[arg(long, value_name = "FILE", requires = "audit_log_path")]
    audit_policy_file: Option<PathBuf>,

    /// Where audit events are written; - is the standard output
    #[arg(long, value_name = "FILE", requires = "audit_policy_file")]
    audit_log_path: Option<PathBuf>,

    /// Days that old audit logs are kept (0: for ever)
    #[arg(long, default_value_t = 0, value_name = "DAYS")]
    audit_log_maxage: u64,

    /// Old audit logs that are kept (0: all)
    #[arg(long, default_value_t = 0, value_name = "N")]
    audit_log_maxbackup: usize,

    /// Megabytes of an audit log before the next is begun
    #[arg(long, default_value_t = 100, value_name = "MEGABYTES")]
    audit_log_maxsize: u64,
}

#[derive(Args, Clone, Debug)]
struct RequestHeaderFlags {
    /// Authority of proxies that say in headers whom they authenticated
    #[arg(long, value_name = "FILE")]
    requestheader_client_ca_file: Option<PathBuf>,

    /// Common names of those proxies [default: any that the authority signed]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    requestheader_allowed_names: Vec<String>,

    /// Headers that hold the user's name
    #[arg(long, value_name = "HEADER", value_delimiter = ',')]
    requestheader_username_headers: Vec<String>,

    /// Headers that hold the user's uid
    #[arg(long, value_name = "HEADER", value_delimiter = ',')]
    requestheader_uid_headers: Vec<String>,

    /// Headers that hold the user's groups
    #[arg(long, value_name = "HEADER", value_delimiter = ',')]
    requestheader_group_headers: Vec<String>,

    /// Prefixes of headers that hold more about the user
    #[arg(long, value_name = "PREFIX", value_delimiter = ',')]
    requestheader_extra_headers_prefix: Vec<String>,
}

#[derive(Args, Clone, Debug)]
struct WebhookFlags {
    /// Kubeconfig of a server that is asked about tokens
    #[arg(long, value_name = "FILE")]
    authentication_token_webhook_config_file: Option<PathBuf>,

    /// How long that server's answers are taken for
    #[arg(long, default_value = "2m", value_name = "DURATION", value_parser = parse_duration)]
    authentication_token_webhook_cache_ttl: Duration,

    /// Kubeconfig of a server that is asked what no role allows
    #[arg(long, value_name = "FILE")]
    authorization_webhook_config_file: Option<PathBuf>,

    /// Version of authorization.k8s.io that this server speaks
    #[arg(long, value_name = "VERSION", value_parser = ["v1", "v1beta1"], default_value = AuthorizationWebhook::VERSION)]
    authorization_webhook_version: String,

    /// How long this server's yes is taken for
    #[arg(long, default_value = "5m", value_name = "DURATION", value_parser = parse_duration)]
    authorization_webhook_cache_authorized_ttl: Duration,

    /// How long this server's no is taken for
    #[arg(long, default_value = "30s", value_name = "DURATION", value_parser = parse_duration)]
    authorization_webhook_cache_unauthorized_ttl: Duration,
}

#[derive(Args, Clone, Debug)]
struct OidcFlags {
    /// OpenID Connect provider whose identity tokens are taken
    #[arg(long, value_name = "URL", requires = "oidc_client_id")]
    oidc_issuer_url: Option<String>,

    /// Audience that those tokens must be for
    #[arg(long, value_name = "ID", requires = "oidc_issuer_url")]
    oidc_client_id: Option<String>,

    /// Claim that is the user's name
    #[arg(long, default_value = "sub", value_name = "CLAIM")]
    oidc_username_claim: String,

    /// What goes before the name; - for nothing [default: the URL and #]
    #[arg(long, value_name = "PREFIX")]
    oidc_username_prefix: Option<String>,

    /// Claim that holds the user's groups
    #[arg(long, value_name = "CLAIM")]
    oidc_groups_claim: Option<String>,

    /// What goes before each group
    #[arg(long, default_value = "", value_name = "PREFIX")]
    oidc_groups_prefix: String,

    /// Claims that must have these values
    #[arg(long, value_name = "CLAIM=VALUE", value_delimiter = ',')]
    oidc_required_claim: Vec<String>,

    /// Authority of the provider's certificate [default: the machine's]
    #[arg(long, value_name = "FILE")]
    oidc_ca_file: Option<PathBuf>,

    /// Algorithms of signatures that are taken
    #[arg(
        long,
        default_value = "RS256",
        value_name = "ALGORITHM",
        value_delimiter = ','
    )]
    oidc_signing_algs: Vec<String>,
}

impl AccessFlags {
    /// The cluster's key, which trusts those that the flags name.
    pub fn token_key(&self, mut own: pki::TokenKey) -> Result<pki::TokenKey, pki::Error> {
        for path in &self.service_account_key_file {
            own.trust(pki::PublicKey::read(path)?);
        }
        Ok(own)
    }

    /// What the API server is told; reads the files that are named.
    pub fn access(&self) -> anyhow::Result<Access> {
        Ok(Access {
            aggregator: None,
            anonymous: self.anonymous_auth,
            audiences: self.api_audiences.clone(),
            front_proxy: self.proxy.front_proxy()?,
            token_webhook: self.webhook.token_webhook(),
            authorization_webhook: self.webhook.authorization_webhook(),
            oidc: self.oidc.issuer()?,
            audit: self.audit.config(),
            admission: self.admission_control_config_file.clone(),
            encryption: self.encryption_provider_config.clone(),
            reloads_encryption: self.encryption_provider_config_automatic_reload,
        })
    }
}

impl AuditFlags {
    fn config(&self) -> Option<audit::Config> {
        Some(audit::Config {
            policy: self.audit_policy_file.clone()?,
            log: self.audit_log_path.clone()?,
            max_age: self.audit_log_maxage,
            max_backups: self.audit_log_maxbackup,
            max_size: self.audit_log_maxsize,
        })
    }
}

impl RequestHeaderFlags {
    fn front_proxy(&self) -> anyhow::Result<Option<FrontProxy>> {
        let Some(path) = &self.requestheader_client_ca_file else {
            return Ok(None);
        };
        let pem = read(path, "--requestheader-client-ca-file")?;
        let mut proxy = FrontProxy::new(pem);
        proxy
            .allowed_names
            .clone_from(&self.requestheader_allowed_names);
        for (given, field) in [
            (
                &self.requestheader_username_headers,
                &mut proxy.username_headers,
            ),
            (&self.requestheader_uid_headers, &mut proxy.uid_headers),
            (&self.requestheader_group_headers, &mut proxy.group_headers),
            (
                &self.requestheader_extra_headers_prefix,
                &mut proxy.extra_prefixes,
            ),
        ] {
            if !given.is_empty() {
                field.clone_from(given);
            }
        }
        Ok(Some(proxy))
    }
}

impl WebhookFlags {
    fn token_webhook(&self) -> Option<TokenWebhook> {
        Some(TokenWebhook {
            config: self.authentication_token_webhook_config_file.clone()?,
            cache: self.authentication_token_webhook_cache_ttl,
        })
    }

    fn authorization_webhook(&self) -> Option<AuthorizationWebhook> {
        Some(AuthorizationWebhook {
            config: self.authorization_webhook_config_file.clone()?,
            version: self.authorization_webhook_version.clone(),
            authorized: self.authorization_webhook_cache_authorized_ttl,
            unauthorized: self.authorization_webhook_cache_unauthorized_ttl,
        })
    }
}

impl OidcFlags {
    fn issuer(&self) -> anyhow::Result<Option<Issuer>> {
        let (Some(url), Some(client_id)) = (&self.oidc_issuer_url, &self.oidc_client_id) else {
            return Ok(None);
        };
        if !url.starts_with("https://") {
            bail!("--oidc-issuer-url {url} must begin with https://");
        }
        let mut issuer = Issuer::new(url.clone(), client_id.clone());
        issuer.username_claim.clone_from(&self.oidc_username_claim);
        issuer
            .username_prefix
            .clone_from(&self.oidc_username_prefix);
        issuer.groups_claim.clone_from(&self.oidc_groups_claim);
        issuer.groups_prefix.clone_from(&self.oidc_groups_prefix);
        issuer.required_claims = self.required_claims()?;
        issuer.ca_pem = match &self.oidc_ca_file {
            Some(path) => Some(read(path, "--oidc-ca-file")?),
            None => None,
        };
        issuer.allow(&self.oidc_signing_algs).map_err(|unknown| {
            anyhow::anyhow!(
                "--oidc-signing-algs {unknown:?} is no algorithm of a key pair, such as RS256"
            )
        })?;
        Ok(Some(issuer))
    }

    fn required_claims(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let pairs = self.oidc_required_claim.iter().map(|text| {
            let (claim, value) = text
                .split_once('=')
                .with_context(|| format!("--oidc-required-claim {text:?} is not claim=value"))?;
            Ok((claim.to_owned(), value.to_owned()))
        });
        pairs.collect()
    }
}

fn read(path: &std::path::Path, flag: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("read {flag} {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        flags: AccessFlags,
    }

    fn access(args: &[&str]) -> anyhow::Result<Access> {
        let args = ["skiff"].iter().chain(args);
        Command::try_parse_from(args)?.flags.access()
    }

    #[test]
    fn nothing_is_turned_on_unless_it_is_asked_for() {
        let plain = access(&[]).unwrap();
        assert!(plain.anonymous);
        assert!(plain.audit.is_none() && plain.oidc.is_none());
        assert!(!access(&["--anonymous-auth=false"]).unwrap().anonymous);
    }

    #[test]
    fn an_audit_policy_goes_with_a_log() {
        assert!(access(&["--audit-policy-file", "p"]).is_err());
        let both = [
            "--audit-policy-file",
            "p",
            "--audit-log-path",
            "l",
            "--audit-log-maxage",
            "7",
        ];
        assert_eq!(access(&both).unwrap().audit.unwrap().max_age, 7);
    }

    #[test]
    fn tokens_without_a_key_pair_are_no_choice() {
        let with = |alg: &str| {
            let url = ["--oidc-issuer-url", "https://i", "--oidc-client-id", "c"];
            access(&[&url[..], &["--oidc-signing-algs", alg]].concat())
        };
        assert!(with("RS256,ES256").is_ok());
        assert!(with("HS256").is_err());
        assert!(with("none").is_err());
    }
}

//! What the administrator says of who is believed and what is noted, beyond the
//! defaults: one value in the server's `Config`, for each of these a flag.

use std::path::PathBuf;

use crate::aggregation::Aggregator;
use crate::audit;
use crate::authn::front_proxy::FrontProxy;
use crate::authn::oidc::Issuer;
use crate::authn::webhook::TokenWebhook;
use crate::authz::webhook::AuthorizationWebhook;

#[derive(Clone)]
pub struct Access {
    /// Requests without credentials are made by `system:anonymous`; else they
    /// are refused.
    pub anonymous: bool,
    /// What tokens must be made for; empty: the issuer of service-account tokens.
    pub audiences: Vec<String>,
    /// A proxy that authenticates for this server.
    pub front_proxy: Option<FrontProxy>,
    /// As whom extension API servers are called.
    pub aggregator: Option<Aggregator>,
    /// A server that knows tokens that this one does not.
    pub token_webhook: Option<TokenWebhook>,
    /// A server that is asked what nobody here allows.
    pub authorization_webhook: Option<AuthorizationWebhook>,
    /// An OpenID Connect provider whose tokens are taken.
    pub oidc: Option<Issuer>,
    pub audit: Option<audit::Config>,
    /// Kubernetes' `AdmissionConfiguration`.
    pub admission: Option<PathBuf>,
    /// Kubernetes' `EncryptionConfiguration`.
    pub encryption: Option<PathBuf>,
    /// That file is read again when it changes.
    pub reloads_encryption: bool,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            anonymous: true,
            audiences: Vec::new(),
            front_proxy: None,
            aggregator: None,
            token_webhook: None,
            authorization_webhook: None,
            oidc: None,
            audit: None,
            admission: None,
            encryption: None,
            reloads_encryption: false,
        }
    }
}

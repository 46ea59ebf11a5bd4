//! The Kubernetes client of an agent: one HTTP/2 connection to one of the
//! servers, asked by pings whether it lives, and another when it does not.

use std::sync::Arc;
use std::time::Duration;

use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::Client;
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::config::AuthInfo;
use tower::ServiceExt as _;

use super::Servers;
use super::counted::Counted;
use super::dial::{Dialer, NAME};

const PING_EVERY: Duration = Duration::from_secs(10);
const PING_LIMIT: Duration = Duration::from_secs(10);
const WINDOW: u32 = 1 << 20;

/// As whom a client asks.
pub enum Auth {
    Bearer(String),
    /// By its latest certificate.
    Certificate(Arc<pki::Identity>),
}

impl Servers {
    /// A client of whichever server answers.
    pub fn client(self: &Arc<Self>, ca_pem: &str, auth: Auth) -> anyhow::Result<Client> {
        let mut config = kube::Config::new(format!("https://{NAME}").parse()?);
        let identity = match auth {
            Auth::Certificate(identity) => Some(identity),
            Auth::Bearer(token) => {
                config.auth_info = AuthInfo {
                    token: Some(token.into()),
                    ..AuthInfo::default()
                };
                None
            }
        };
        let dialer = Dialer::new(self.clone(), ca_pem, identity, b"h2")?;
        let http: legacy::Client<Dialer, Body> = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .http2_only(true)
            .http2_keep_alive_interval(PING_EVERY)
            .http2_keep_alive_timeout(PING_LIMIT)
            .http2_initial_stream_window_size(WINDOW)
            .build(dialer);
        // The layers below box their errors too.
        let http = Counted(http.map_err(tower::BoxError::from));
        let builder = ClientBuilder::new(http, "default").with_layer(&config.base_uri_layer());
        Ok(match config.auth_layer()? {
            Some(auth) => builder.with_layer(&auth).build(),
            None => builder.build(),
        })
    }
}

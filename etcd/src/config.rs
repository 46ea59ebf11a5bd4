//! What the backend is told: where etcd is, and how much it keeps in memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use store::Error;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection that answers no ping within these is broken, used or not.
const PING_EVERY: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(3);
/// A page of a list should not wait for window updates.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

#[derive(Clone, Debug)]
pub struct Config {
    /// `https://host:2379`, or `http://` for one on a network of its own.
    pub endpoints: Vec<String>,
    pub tls: Tls,
    /// Under which all keys lie; two clusters on one etcd have two of them.
    pub prefix: String,
    /// How long one request may take, with all its attempts.
    pub request_timeout: Duration,
    /// Changes kept in memory for watchers that come back.
    pub history_changes: usize,
    pub history_bytes: usize,
    /// A watcher that is more than so many changes behind is ended.
    pub watch_queue: usize,
}

/// Files in PEM.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Who signed etcd's certificates; none: those the machine trusts.
    pub ca: Option<PathBuf>,
    /// What this server shows to etcd, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl Config {
    pub const PREFIX: &str = "/skiff";

    pub fn new(endpoints: Vec<String>) -> Self {
        Self {
            endpoints,
            tls: Tls::default(),
            prefix: Self::PREFIX.to_owned(),
            request_timeout: Duration::from_secs(10),
            history_changes: 100_000,
            history_bytes: 24 << 20,
            watch_queue: 8192,
        }
    }

    /// One connection's settings for each endpoint.
    pub(crate) fn connections(&self) -> Result<Vec<Endpoint>, Error> {
        if self.endpoints.is_empty() {
            return Err(unusable(
                "no endpoint of etcd was given",
                "the list is empty",
            ));
        }
        let tls = self.tls.read()?;
        self.endpoints
            .iter()
            .map(|text| connection(text, &tls))
            .collect()
    }
}

impl Tls {
    fn read(&self) -> Result<ClientTlsConfig, Error> {
        let mut config = ClientTlsConfig::new();
        config = match &self.ca {
            Some(path) => config.ca_certificate(Certificate::from_pem(read(path)?)),
            None => config.with_native_roots(),
        };
        if let Some((cert, key)) = &self.identity {
            config = config.identity(Identity::from_pem(read(cert)?, read(key)?));
        }
        Ok(config)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::Io {
        what: "read",
        path: path.to_owned(),
        source,
    })
}

fn connection(text: &str, tls: &ClientTlsConfig) -> Result<Endpoint, Error> {
    let what = || format!("use {text:?} as an endpoint of etcd, as https://10.0.0.5:2379");
    let endpoint = Endpoint::from_shared(text.to_owned()).map_err(|e| unusable(what(), e))?;
    let endpoint = match endpoint.uri().scheme_str() {
        Some("http") => endpoint,
        Some("https") => endpoint
            .tls_config(tls.clone())
            .map_err(|e| unusable(what(), e))?,
        _ => {
            return Err(unusable(
                what(),
                "it begins with neither https:// nor http://",
            ));
        }
    };
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW))
}

fn unusable(
    what: impl Into<String>,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::Datastore {
        what: what.into(),
        source: source.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_endpoint_without_a_scheme_is_refused_by_name() {
        for text in ["10.0.0.5:2379", "ftp://x", "https://"] {
            let error = Config::new(vec![text.into()]).connections().unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
        assert!(Config::new(Vec::new()).connections().is_err());
    }

    #[test]
    fn a_missing_certificate_is_named() {
        let mut config = Config::new(vec!["https://localhost:2379".into()]);
        config.tls.ca = Some("/nowhere/ca.pem".into());
        let error = config.connections().unwrap_err();
        assert!(error.to_string().contains("/nowhere/ca.pem"), "{error}");
    }
}

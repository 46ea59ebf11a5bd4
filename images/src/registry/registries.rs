//! What the operator says of registries: mirrors, credentials, authorities.
//!
//! The file has the format of k3s' `registries.yaml`, so that one can be kept. A registry's mirrors are asked in order, and
//! the registry itself last. Nothing of it holds for a host that the file does not name, credentials least of all.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    net::IpAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::Uri;
use serde::{Deserialize, Deserializer};

use crate::{Credentials, Reference, Result};

/// No file about registries is longer.
const LIMIT: u64 = 1 << 20;
/// The mirrors of registries that have none of their own.
const ANY: &str = "*";

/// How registries are reached. By default: by HTTPS, as the machine trusts; `localhost` and 127.0.0.0/8 by plain HTTP.
#[derive(Debug, Clone, Default)]
pub struct Registries {
    mirrors: BTreeMap<String, Vec<Endpoint>>,
    hosts: BTreeMap<String, Host>,
}

/// Where a registry's content is to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// With the port, if that was written.
    pub host: String,
    /// Below this are the repositories: `https://registry.lan:5000/v2`.
    pub base: String,
    pub is_plain: bool,
    pub credentials: Option<Credentials>,
}

#[derive(Debug, Clone, Default)]
struct Host {
    credentials: Option<Credentials>,
    tls: Option<Tls>,
}

/// Whom a host's certificate may be signed by, beside whom the machine trusts, and what the host is shown.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    pub ca_file: Option<PathBuf>,
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    #[serde(default)]
    insecure_skip_verify: bool,
}

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("read it")]
    Read(#[source] io::Error),
    #[error("it is longer than a mebibyte")]
    TooLong,
    #[error("it holds passwords, and others than its owner may read it; take that away: chmod 600")]
    Readable,
    #[error(transparent)]
    Yaml(#[from] serde_yaml::Error),
    #[error("the endpoint {0:?} is no URL of the form https://HOST[:PORT]")]
    Endpoint(String),
    #[error("auth of {0:?} needs username and password, or auth, or identity_token")]
    Auth(String),
    #[error("tls of {0:?}: cert_file and key_file go together")]
    Identity(String),
    #[error(
        "tls of {0:?}: certificates are always checked; name their authority (ca_file) instead of insecure_skip_verify"
    )]
    Unchecked(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    mirrors: BTreeMap<String, Option<Mirror>>,
    #[serde(default)]
    configs: BTreeMap<String, Configured>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mirror {
    #[serde(default)]
    endpoint: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Configured {
    auth: Option<Auth>,
    tls: Option<Tls>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Auth {
    #[serde(default, deserialize_with = "text")]
    username: Option<String>,
    #[serde(default, deserialize_with = "text")]
    password: Option<String>,
    #[serde(default, deserialize_with = "text")]
    auth: Option<String>,
    #[serde(default, deserialize_with = "text")]
    identity_token: Option<String>,
}

/// Text, or what YAML takes for a number. An error shows nothing of it.
fn text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<String>, D::Error> {
    match serde_yaml::Value::deserialize(deserializer)? {
        serde_yaml::Value::Null => Ok(None),
        serde_yaml::Value::String(text) => Ok(Some(text)),
        serde_yaml::Value::Number(number) => Ok(Some(number.to_string())),
        _ => Err(serde::de::Error::custom("credentials are text")),
    }
}

impl Registries {
    /// Reads a file as k3s' `registries.yaml`.
    ///
    /// # Errors
    /// What it says cannot be followed to the letter, or others may read the passwords in it.
    pub fn read(path: &Path) -> Result<Self> {
        let fail = |source| crate::Error::Registries {
            path: path.to_owned(),
            source: Box::new(source),
        };
        let (text, mode) = contents(path).map_err(fail)?;
        let registries = Self::parse(&text).map_err(fail)?;
        let has_secret = registries
            .hosts
            .values()
            .any(|host| host.credentials.is_some());
        if has_secret && mode & 0o044 != 0 {
            return Err(fail(Problem::Readable));
        }
        Ok(registries)
    }

    fn parse(text: &str) -> Result<Self, Problem> {
        let document: Option<Document> = serde_yaml::from_str(text)?;
        let Some(document) = document else {
            return Ok(Self::default());
        };
        let mut registries = Self::default();
        for (name, configured) in document.configs {
            let host = configured.into_host(&name)?;
            registries.hosts.insert(name, host);
        }
        for (name, mirror) in document.mirrors {
            let urls = mirror.map(|mirror| mirror.endpoint).unwrap_or_default();
            let endpoints: Result<_, _> = urls.iter().map(|url| registries.endpoint(url)).collect();
            registries.mirrors.insert(name, endpoints?);
        }
        Ok(registries)
    }

    fn endpoint(&self, url: &str) -> Result<Endpoint, Problem> {
        let bad = || Problem::Endpoint(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let host = uri.authority().ok_or_else(bad)?.as_str();
        let scheme = uri
            .scheme_str()
            .filter(|scheme| ["http", "https"].contains(scheme));
        let scheme = scheme.ok_or_else(bad)?;
        if host.contains('@') || uri.query().is_some() {
            return Err(bad());
        }
        // A path that is written is the whole path, as with k3s: proxies have theirs.
        let path = match uri.path().trim_end_matches('/') {
            "" => "/v2",
            path => path,
        };
        Ok(Endpoint {
            base: format!("{scheme}://{host}{path}"),
            is_plain: scheme == "http",
            credentials: self.credentials(host),
            host: host.to_owned(),
        })
    }

    /// Where to ask for an image, in order. `brought` is for its own registry, and for nobody else.
    pub fn endpoints(&self, image: &Reference, brought: Option<&Credentials>) -> Vec<Endpoint> {
        let mirrors = self
            .mirrors
            .get(image.registry())
            .or_else(|| self.mirrors.get(ANY));
        let mut endpoints = mirrors.cloned().unwrap_or_default();
        let own = self.own(image.registry(), brought);
        match endpoints
            .iter_mut()
            .find(|endpoint| endpoint.host == own.host)
        {
            Some(endpoint) => endpoint.credentials = own.credentials,
            None => endpoints.push(own),
        }
        endpoints
    }

    fn own(&self, registry: &str, brought: Option<&Credentials>) -> Endpoint {
        let is_plain = is_this_machine(registry);
        let scheme = if is_plain { "http" } else { "https" };
        let host = if registry == "docker.io" {
            "registry-1.docker.io"
        } else {
            registry
        };
        let credentials = brought.cloned().or_else(|| self.credentials(registry));
        Endpoint {
            host: host.to_owned(),
            base: format!("{scheme}://{host}/v2"),
            is_plain,
            credentials: credentials.or_else(|| self.credentials(host)),
        }
    }

    fn credentials(&self, host: &str) -> Option<Credentials> {
        self.hosts.get(host)?.credentials.clone()
    }

    /// What is special about connections to `host`.
    pub fn tls(&self, host: &str) -> Option<&Tls> {
        self.hosts.get(host)?.tls.as_ref()
    }
}

impl Configured {
    fn into_host(self, name: &str) -> Result<Host, Problem> {
        let credentials = self
            .auth
            .map(|auth| auth.into_credentials(name))
            .transpose()?;
        if let Some(tls) = &self.tls {
            if tls.insecure_skip_verify {
                return Err(Problem::Unchecked(name.to_owned()));
            }
            if tls.cert_file.is_some() != tls.key_file.is_some() {
                return Err(Problem::Identity(name.to_owned()));
            }
        }
        Ok(Host {
            credentials,
            tls: self.tls,
        })
    }
}

impl Auth {
    fn into_credentials(self, host: &str) -> Result<Credentials, Problem> {
        let bad = || Problem::Auth(host.to_owned());
        match self {
            Self {
                identity_token: Some(token),
                ..
            } => Ok(Credentials::Identity { token }),
            Self {
                username: Some(username),
                password: Some(password),
                ..
            } => Ok(Credentials::Basic { username, password }),
            Self {
                auth: Some(auth), ..
            } => {
                let decoded = STANDARD.decode(auth.trim()).map_err(|_| bad())?;
                let decoded = String::from_utf8(decoded).map_err(|_| bad())?;
                let (username, password) = decoded.split_once(':').ok_or_else(bad)?;
                Ok(Credentials::Basic {
                    username: username.to_owned(),
                    password: password.to_owned(),
                })
            }
            _ => Err(bad()),
        }
    }
}

fn contents(path: &Path) -> Result<(String, u32), Problem> {
    let file = File::open(path).map_err(Problem::Read)?;
    let mode = file.metadata().map_err(Problem::Read)?.permissions().mode();
    let mut text = String::new();
    let read = file.take(LIMIT + 1).read_to_string(&mut text);
    if read.map_err(Problem::Read)? as u64 > LIMIT {
        return Err(Problem::TooLong);
    }
    Ok((text, mode))
}

/// Spoken to without TLS unless the operator says otherwise.
fn is_this_machine(registry: &str) -> bool {
    let host = match registry.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or_default(),
        None => registry.split(':').next().unwrap_or_default(),
    };
    let is_loopback = |address: IpAddr| address.is_loopback();
    host == "localhost" || host.parse().is_ok_and(is_loopback)
}

#[cfg(test)]
mod tests;

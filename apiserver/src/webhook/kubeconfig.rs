//! The kubeconfig files by which flags name a webhook: the current context's
//! server, whom to believe there, and what to show.

use std::path::{Path, PathBuf};

use apimachinery::meta;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use serde_json::Value;

use super::plain::{Credentials, Server};
use super::trust::Roots;
use crate::KeyPair;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("read {}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{} is no kubeconfig", path.display())]
    Parse {
        path: PathBuf,
        source: serde_yaml::Error,
    },
    /// The operator should mend the named part.
    #[error("the kubeconfig {}: {why}", path.display())]
    Invalid { path: PathBuf, why: String },
}

impl Server {
    /// # Errors
    /// A file that cannot be read, or names no server that could be called.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let file = File::read(path)?;
        let context = file.named(
            "contexts",
            "context",
            meta::text(&file.config, "current-context"),
        )?;
        let cluster = file.named("clusters", "cluster", meta::text(context, "cluster"))?;
        let user = match meta::text(context, "user") {
            "" => &Value::Null,
            name => file.named("users", "user", name)?,
        };
        let url = meta::text(cluster, "server");
        if !url.starts_with("https://") {
            return Err(file.invalid(format!("the server {url:?} is no https:// URL")));
        }
        Ok(Self {
            url: url.to_owned(),
            roots: file.roots(cluster)?,
            credentials: file.credentials(user)?,
        })
    }
}

struct File<'a> {
    path: &'a Path,
    config: Value,
}

impl<'a> File<'a> {
    fn read(path: &'a Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read {
            path: path.into(),
            source,
        })?;
        let config = serde_yaml::from_str(&text).map_err(|source| Error::Parse {
            path: path.into(),
            source,
        })?;
        Ok(Self { path, config })
    }

    fn invalid(&self, why: impl Into<String>) -> Error {
        Error::Invalid {
            path: self.path.into(),
            why: why.into(),
        }
    }

    fn named(&self, list: &str, field: &str, name: &str) -> Result<&Value, Error> {
        let mut items = meta::items(&self.config, list).iter();
        let found = items.find(|item| meta::text(item, "name") == name);
        let found = found.and_then(|item| meta::get(item, field));
        found.ok_or_else(|| self.invalid(format!("{list} has none of the name {name:?}")))
    }

    fn roots(&self, cluster: &Value) -> Result<Roots, Error> {
        if meta::flag(cluster, "insecure-skip-tls-verify") {
            return Ok(Roots::Anybody);
        }
        let pem = self.pem(cluster, "certificate-authority")?;
        Ok(pem.map_or(Roots::System, Roots::Pinned))
    }

    fn credentials(&self, user: &Value) -> Result<Credentials, Error> {
        let pair = (
            self.pem(user, "client-certificate")?,
            self.pem(user, "client-key")?,
        );
        let identity = match pair {
            (Some(cert_pem), Some(key_pem)) => Some(KeyPair { cert_pem, key_pem }),
            (None, None) => None,
            _ => return Err(self.invalid("client-certificate and client-key go together")),
        };
        Ok(Credentials {
            identity,
            authorization: self.authorization(user)?,
        })
    }

    fn authorization(&self, user: &Value) -> Result<Option<HeaderValue>, Error> {
        let token = match (meta::text(user, "token"), meta::text(user, "tokenFile")) {
            ("", "") => String::new(),
            ("", file) => self.beside(file)?,
            (token, _) => token.to_owned(),
        };
        let text = match (token.trim(), meta::text(user, "username")) {
            ("", "") => return Ok(None),
            ("", name) => {
                let both = format!("{name}:{}", meta::text(user, "password"));
                format!("Basic {}", STANDARD.encode(both))
            }
            (token, _) => format!("Bearer {token}"),
        };
        let value = HeaderValue::from_str(&text);
        let mut value = value.map_err(|_| self.invalid("its token is no header's value"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// `<field>-data`, or the file that `<field>` names.
    fn pem(&self, of: &Value, field: &str) -> Result<Option<String>, Error> {
        let data = meta::text(of, &format!("{field}-data"));
        if !data.is_empty() {
            let bytes = STANDARD.decode(data).ok();
            let pem = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
            let unreadable = || self.invalid(format!("{field}-data is no PEM in base64"));
            return pem.map(Some).ok_or_else(unreadable);
        }
        match meta::text(of, field) {
            "" => Ok(None),
            file => self.beside(file).map(Some),
        }
    }

    /// A file, by a path from where the kubeconfig is.
    fn beside(&self, file: &str) -> Result<String, Error> {
        let path = self.path.parent().unwrap_or(Path::new("")).join(file);
        std::fs::read_to_string(&path).map_err(|source| Error::Read { path, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Server, Error> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        std::fs::write(dir.path().join("ca.pem"), "PEM").unwrap();
        std::fs::write(&path, text).unwrap();
        Server::read(&path)
    }

    const CLUSTER: &str = "clusters: [{name: c, cluster: {server: 'https://a/b', certificate-authority: ca.pem}}]\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n";

    #[test]
    fn the_current_context_names_server_trust_and_token() {
        let text = format!("{CLUSTER}current-context: x\nusers: [{{name: u, user: {{token: t}}}}]");
        let server = read(&text).unwrap();
        assert_eq!(server.url, "https://a/b");
        assert_eq!(server.roots, Roots::Pinned("PEM".into()));
        assert_eq!(server.credentials.authorization.unwrap(), "Bearer t");
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = read(CLUSTER).err().unwrap();
        assert!(error.to_string().contains("contexts has none"), "{error}");
        let text = format!("{CLUSTER}current-context: x");
        let error = read(&text).err().unwrap();
        assert!(error.to_string().contains("users has none"), "{error}");
    }
}

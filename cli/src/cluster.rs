//! The cluster as the commands see it: any kind of object, by the names that
//! the API server itself gives them.

mod discovery;
mod error;
pub mod select;
mod until;

use std::fmt::Write as _;

use http::{Method, Request, header};
use kube::Client;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

pub use discovery::Resource;
pub use error::{ServerError, has_code, is_conflict, is_not_found, refused, server_error, when};

use crate::client::ClientFlags;

/// A connection, the namespace to act in, and what there is to act on.
pub struct Cluster {
    pub client: Client,
    pub namespace: String,
    /// Whether the user named it, rather than the kubeconfig.
    is_namespace_named: bool,
    resources: Vec<Resource>,
}

pub const JSON: &str = "application/json";
pub const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
pub const MERGE_PATCH: &str = "application/merge-patch+json";
pub const STRATEGIC_PATCH: &str = "application/strategic-merge-patch+json";
pub const APPLY_PATCH: &str = "application/apply-patch+yaml";

impl Cluster {
    pub async fn connect(flags: &ClientFlags) -> anyhow::Result<Self> {
        let (client, namespace, url) = flags.connect().await?;
        let resources = discovery::list(&client).await.map_err(|error| {
            // What the server itself says needs no address.
            if error.is::<ServerError>() {
                error
            } else {
                error.context(format!("connect to {}", url.trim_end_matches('/')))
            }
        })?;
        Ok(Self {
            client,
            namespace,
            is_namespace_named: flags.namespace.is_some(),
            resources,
        })
    }

    /// The cluster of a client that is there already.
    pub async fn of(client: Client) -> anyhow::Result<Self> {
        Ok(Self {
            resources: discovery::list(&client).await?,
            client,
            namespace: "default".into(),
            is_namespace_named: false,
        })
    }

    /// The namespace that a manifest's object goes to.
    pub fn namespace_of<'a>(&'a self, object: &'a Value) -> anyhow::Result<&'a str> {
        let own = text(object, "/metadata/namespace");
        if own.is_empty() {
            return Ok(&self.namespace);
        }
        anyhow::ensure!(
            !self.is_namespace_named || own == self.namespace,
            "the namespace from the provided object \"{own}\" does not match the namespace \"{}\". \
             You must pass '--namespace={own}' to perform this operation.",
            self.namespace
        );
        Ok(own)
    }

    /// The resource of a kind, as a manifest names it.
    pub fn of_kind(&self, api_version: &str, kind: &str) -> anyhow::Result<&Resource> {
        let found = self
            .resources
            .iter()
            .find(|r| r.api_version() == api_version && r.kind == kind);
        found.ok_or_else(|| {
            anyhow::anyhow!(
                "no matches for kind \"{kind}\" in version \"{api_version}\"; \
                 see what there is with `skiff api-resources`"
            )
        })
    }

    /// The path of an object, or of all objects where `name` is `None`.
    pub fn path(&self, resource: &Resource, namespace: Option<&str>, name: Option<&str>) -> String {
        let mut path = resource.root();
        if resource.namespaced
            && let Some(namespace) = namespace
        {
            let _ = write!(path, "/namespaces/{namespace}");
        }
        let _ = write!(path, "/{}", resource.plural);
        if let Some(name) = name {
            let _ = write!(path, "/{name}");
        }
        path
    }

    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.send(Method::GET, path, JSON, None).await
    }

    pub async fn get_as(&self, path: &str, accept: &str) -> anyhow::Result<Value> {
        let request = Request::get(path).header(header::ACCEPT, accept);
        self.answer(request.body(Vec::new())?).await
    }

    pub async fn create(&self, path: &str, object: &Value) -> anyhow::Result<Value> {
        self.send(Method::POST, path, JSON, Some(object)).await
    }

    pub async fn patch(&self, path: &str, kind: &str, patch: &Value) -> anyhow::Result<Value> {
        self.send(Method::PATCH, path, kind, Some(patch)).await
    }

    pub async fn delete(&self, path: &str, options: &Value) -> anyhow::Result<Value> {
        self.send(Method::DELETE, path, JSON, Some(options)).await
    }

    /// The object, or `None` if there is none.
    pub async fn find(&self, path: &str) -> anyhow::Result<Option<Value>> {
        match self.get(path).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error::is_not_found(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::ACCEPT, JSON)
            .header(header::CONTENT_TYPE, content_type);
        let body = body.map(serde_json::to_vec).transpose()?;
        self.answer(request.body(body.unwrap_or_default())?).await
    }

    async fn answer(&self, request: Request<Vec<u8>>) -> anyhow::Result<Value> {
        self.client.request(request).await.map_err(refused)
    }
}

/// Percent-encodes a query parameter's value.
pub fn encode(value: &str) -> String {
    const SPECIAL: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~');
    utf8_percent_encode(value, SPECIAL).to_string()
}

/// `deployment.apps/web`, as kubectl names what it did something to.
pub fn full_name(resource: &Resource, name: &str) -> String {
    let singular = resource.singular();
    if resource.group.is_empty() {
        return format!("{singular}/{name}");
    }
    format!("{singular}.{}/{name}", resource.group)
}

/// The string at a JSON pointer; empty where there is none.
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

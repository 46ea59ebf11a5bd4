//! The parameters a binding gives its policy.

use apimachinery::Status;
use serde_json::Value;
use store::{Entry, Range};

use super::super::dynamic::Context;
use super::binding::{Binding, ParamRef, Which};
use super::policy::{ParamKind, Policy};
use crate::keys;
use crate::registry::{store_failure, versions};
use crate::served::Served;

/// What a policy is evaluated with: once for each.
pub type Params = Vec<Option<Value>>;

impl Context<'_> {
    /// The parameters of a pair; none at all: it does nothing.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub(super) async fn params<R>(
        &self,
        policy: &Policy<R>,
        binding: &Binding,
    ) -> Result<Params, String> {
        let (Some(kind), Some(reference)) = (&policy.params, &binding.params) else {
            return Ok(vec![None]);
        };
        let served = self.param_kind(kind)?;
        let namespace = self.param_namespace(&served, reference)?;
        let found = self.find_params(&served, namespace.as_deref(), reference);
        let found = found.await.map_err(|status| status.message)?;
        if found.is_empty() && !reference.may_be_missing {
            let why = "no params found for policy binding with `Deny` parameterNotFoundAction";
            return Err(why.to_owned());
        }
        Ok(found.into_iter().map(Some).collect())
    }

    fn param_kind(&self, wanted: &ParamKind) -> Result<Served, String> {
        let table = self.registry.api.resources.table();
        let mut all = table.all().iter();
        let found = all.find(|served| {
            served.group() == wanted.group
                && served.version() == wanted.version
                && served.kind() == wanted.kind
                && served.prefix().is_some()
        });
        found.cloned().ok_or_else(|| {
            let ParamKind {
                group,
                version,
                kind,
            } = wanted;
            format!(
                "failed to find resource referenced by paramKind: '{group}/{version}, Kind={kind}'"
            )
        })
    }

    fn param_namespace(
        &self,
        kind: &Served,
        reference: &ParamRef,
    ) -> Result<Option<String>, String> {
        if !kind.is_namespaced() {
            return match reference.namespace.as_str() {
                "" => Ok(None),
                _ => Err(
                    "paramRef.namespace must not be provided for a cluster-scoped `paramKind`"
                        .to_owned(),
                ),
            };
        }
        match (reference.namespace.as_str(), self.request.namespace.as_str()) {
            ("", "") => Err("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources".to_owned()),
            ("", own) => Ok(Some(own.to_owned())),
            (named, _) => Ok(Some(named.to_owned())),
        }
    }

    async fn find_params(
        &self,
        kind: &Served,
        namespace: Option<&str>,
        reference: &ParamRef,
    ) -> Result<Vec<Value>, Status> {
        let api = self.registry.api;
        let prefix = kind.prefix().unwrap_or("");
        let entries: Vec<Entry> = match &reference.which {
            Which::Named(name) => {
                let key = keys::object(prefix, namespace, name);
                let entry = api.store.get(&key).await.map_err(store_failure)?;
                entry.into_iter().collect()
            }
            Which::Selected(_) => {
                let all = Range::prefix(keys::collection(prefix, namespace));
                api.store.range(all).await.map_err(store_failure)?.entries
            }
        };
        let mut found = Vec::new();
        for entry in api.all_as_served(kind, entries).await? {
            let object = versions::value(kind, &entry.value)?;
            match &reference.which {
                Which::Selected(selector) if !selector.matches_object(&object) => {}
                _ => found.push(object),
            }
        }
        Ok(found)
    }
}

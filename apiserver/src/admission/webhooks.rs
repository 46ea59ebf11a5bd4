//! Admission by webhooks: servers of the cluster's operators that change and
//! refuse writes.
//!
//! Configurations are held compiled, in the order in which they are asked: by the
//! configuration's name, then as it lists them. Mutating webhooks are asked one
//! after the other, each seeing what those before it changed, and some of them
//! again when a later one changed something; validating ones all at once. Without
//! a configuration a write pays one look at a counter.

mod conditions;
mod exchange;
mod hook;
mod mutate;
mod refusal;
mod review;
mod set;
mod validate;

use std::sync::Arc;

use apimachinery::Status;
use serde_json::Value;

use super::dynamic::Context;
use super::matching::Matched;
use crate::mirror::Source;
use hook::Hook;
use set::Hooks;

pub use mutate::Rounds;

pub struct Webhooks {
    mutating: Arc<Hooks>,
    validating: Arc<Hooks>,
}

impl Webhooks {
    pub async fn load(source: &Source) -> Result<Self, store::Error> {
        let mutating = Arc::new(Hooks::default());
        let validating = Arc::new(Hooks::default());
        source
            .follow("mutatingwebhookconfigurations", mutating.clone())
            .await?;
        source
            .follow("validatingwebhookconfigurations", validating.clone())
            .await?;
        Ok(Self {
            mutating,
            validating,
        })
    }

    pub fn mutates(&self) -> bool {
        !self.mutating.is_empty()
    }

    pub fn validates(&self) -> bool {
        !self.validating.is_empty()
    }
}

impl Context<'_> {
    /// How the hook is to be asked about the write, if it is.
    async fn matches_hook(&self, hook: &Hook, object: &Value) -> Result<Option<Matched>, Status> {
        let matched = {
            let table = self.registry.api.resources.table();
            hook.criteria.match_rules(self.request, &table)
        };
        if matches!(matched, Matched::No) || !self.selects(&hook.criteria, object).await? {
            return Ok(None);
        }
        let meant = conditions::hold(self, hook, object, &matched).await?;
        Ok(meant.then_some(matched))
    }
}

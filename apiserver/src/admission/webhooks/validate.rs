//! Validating webhooks: all at once, and each may say no.

use std::sync::Arc;

use apimachinery::Status;
use futures::future::BoxFuture;
use serde_json::Value;

use super::super::dynamic::Context;
use super::Webhooks;
use super::exchange::{self, Place};
use super::hook::Hook;
use crate::webhook::metrics::Stage;

impl Webhooks {
    /// # Errors
    /// The first no, in the order of the webhooks.
    pub async fn validate(&self, context: Context<'_>, object: &Value) -> Result<(), Status> {
        let hooks = self.validating.all();
        let asked = hooks
            .iter()
            .enumerate()
            .map(|(index, hook)| context.ask_to_validate(hook, object, index));
        let answers = futures::future::join_all(asked).await;
        answers.into_iter().collect()
    }
}

impl Context<'_> {
    fn ask_to_validate<'s>(
        &'s self,
        hook: &'s Arc<Hook>,
        object: &'s Value,
        index: usize,
    ) -> BoxFuture<'s, Result<(), Status>> {
        Box::pin(async move {
            let Some(matched) = self.matches_hook(hook, object).await? else {
                return Ok(());
            };
            let place = Place { round: 0, index };
            exchange::ask(self, hook, object, &matched, Stage::Validating, place).await?;
            Ok(())
        })
    }
}

//! Validating webhooks: all at once, and each may say no.

use std::sync::Arc;

use apimachinery::Status;
use futures::future::BoxFuture;
use serde_json::Value;

use super::super::Admission;
use super::super::matching::is_exempt;
use super::super::request::Request;
use super::exchange::{self, Place};
use super::hook::Hook;
use super::{Context, Webhooks};
use crate::registry::Registry;
use crate::webhook::metrics::Stage;

impl Webhooks {
    /// # Errors
    /// The first no, in the order of the webhooks.
    pub async fn validate(
        &self,
        admission: &Admission,
        registry: &Registry<'_>,
        request: &Request<'_>,
        object: &Value,
    ) -> Result<(), Status> {
        if is_exempt(request) {
            return Ok(());
        }
        let context = Context {
            admission,
            registry,
            request,
        };
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
            let Some(matched) = self.matches(hook, object).await? else {
                return Ok(());
            };
            let place = Place { round: 0, index };
            exchange::ask(self, hook, object, &matched, Stage::Validating, place).await?;
            Ok(())
        })
    }
}

//! Mutating webhooks: one after the other, some of them twice.

use std::collections::BTreeSet;

use apimachinery::Status;
use serde_json::{Value, json};

use super::super::dynamic::Context;
use super::super::matching::Matched;
use super::Webhooks;
use super::exchange::{self, Place};
use super::hook::Hook;
use crate::registry::decode;
use crate::registry::patch::type_meta;
use crate::webhook::metrics::Stage;

/// What one write's rounds of mutation remember.
#[derive(Default)]
pub struct Rounds {
    round: usize,
    /// Webhooks asked so far that want to be asked again.
    asked: BTreeSet<String>,
    /// Those of them after whom the object changed.
    again: BTreeSet<String>,
    /// The object as the webhooks left it in the first round.
    left: Option<Value>,
    /// A webhook changed something.
    changed: bool,
}

impl Rounds {
    /// Whether plugins and webhooks are to be asked once more.
    pub fn wants_another(&mut self) -> bool {
        if self.round > 0 || !self.changed {
            return false;
        }
        self.round = 1;
        true
    }

    pub fn is_first(&self) -> bool {
        self.round == 0
    }

    /// A policy changed the object: plugins and policies are to look again.
    pub fn note_policy_change(&mut self) {
        self.changed = true;
    }

    fn note_change(&mut self) {
        self.changed = true;
        self.again.append(&mut self.asked);
    }
}

impl Webhooks {
    /// Lets the webhooks change `object`.
    ///
    /// # Errors
    /// A webhook's no, or its silence where that is one.
    pub async fn mutate(
        &self,
        context: Context<'_>,
        object: &mut Value,
        rounds: &mut Rounds,
    ) -> Result<(), Status> {
        // Plugins between the rounds may have changed it too.
        if rounds.round > 0 && rounds.left.as_ref() != Some(object) {
            rounds.note_change();
        }
        for (index, hook) in self.mutating.all().iter().enumerate() {
            let key = format!("{}/{}", hook.configuration, hook.name);
            if rounds.round > 0 && !rounds.again.contains(&key) {
                continue;
            }
            let place = Place {
                round: rounds.round,
                index,
            };
            let asked = context.ask_to_mutate(hook, object, place).await?;
            let Some(changed) = asked else { continue };
            if changed {
                rounds.note_change();
            }
            if hook.reinvokes {
                rounds.asked.insert(key);
            }
        }
        rounds.left = Some(object.clone());
        Ok(())
    }
}

impl Context<'_> {
    /// Whether the hook changed the object; None when it was not asked.
    async fn ask_to_mutate(
        &self,
        hook: &Hook,
        object: &mut Value,
        place: Place,
    ) -> Result<Option<bool>, Status> {
        let Some(matched) = self.matches_hook(hook, object).await? else {
            return Ok(None);
        };
        let verdict = exchange::ask(self, hook, object, &matched, Stage::Mutating, place).await?;
        let patch = verdict.and_then(|verdict| verdict.patch);
        let changed = match &patch {
            None => false,
            Some(patch) => self.patch(hook, object, &matched, patch).await?,
        };
        let Place { round, index } = place;
        let note = json!({
            "configuration": hook.configuration, "webhook": hook.name, "mutated": changed,
        });
        let key = format!("mutation.webhook.admission.k8s.io/round_{round}_index_{index}");
        self.registry.call.notes.annotate(key, note.to_string());
        Ok(Some(changed))
    }

    async fn patch(
        &self,
        hook: &Hook,
        object: &mut Value,
        matched: &Matched,
        patch: &[u8],
    ) -> Result<bool, Status> {
        if object.is_null() {
            return Err(Status::internal(format!(
                "admission webhook {:?} attempted to modify the object, which is not supported for this operation",
                hook.name
            )));
        }
        let (api, own) = (self.registry.api, self.registry.kind);
        let other = matched.conversion(self.request, own);
        let (kind, shown) = match other {
            Some(other) => (other, api.converted(own, other, object).await?),
            None => (own, object.clone()),
        };
        let mut patched = patch::json(&shown, patch).map_err(Status::internal)?;
        if self.request.is_of(own) {
            type_meta::check(kind, &mut patched).map_err(Status::internal)?;
            decode::fit(kind.into(), &mut patched)
                .map_err(|status| Status::internal(status.message))?;
            kind.default(&mut patched);
        }
        if let Some(other) = other {
            patched = api.converted(other, own, &patched).await?;
        }
        let changed = patched != *object;
        *object = patched;
        Ok(changed)
    }
}

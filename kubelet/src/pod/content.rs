//! Keeping the content of a running pod's volumes up to date.

use std::time::Duration;

use jiff::Timestamp;

use super::message::Message;
use super::set_up::place;
use super::{Owned, Worker};
use crate::events::Level;
use crate::objects::{Namespace, PodTokens};
use crate::volumes::{self, payload::Sources};

/// A token is looked at this much after its time, so that it is surely due.
const SLACK: Duration = Duration::from_secs(1);

impl Worker {
    /// Watches what the pod's volumes show, and the age of its tokens.
    pub(super) fn watch_content(&mut self) {
        let namespace = self.pod.metadata.namespace.clone().unwrap_or_default();
        for key in volumes::watched(&self.spec(), &namespace) {
            let watched = self.agent.changes.of(&key);
            let (mut generation, sender) = (watched.generation(), self.sender.clone());
            let task = tokio::spawn(async move {
                while generation.changed().await.is_ok() {
                    Self::tell(&sender, Message::ContentChanged);
                }
            });
            self.watched.push((watched, Owned(task)));
        }
        self.watch_tokens();
    }

    fn watch_tokens(&mut self) {
        let Some(renew_at) = self.tokens.renew_at() else {
            return;
        };
        let (sender, left) = (
            self.sender.clone(),
            renew_at.duration_since(Timestamp::now()),
        );
        let delay = Duration::try_from(left).unwrap_or_default() + SLACK;
        self.token_timer = Some(Owned(tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            Self::tell(&sender, Message::ContentChanged);
        })));
    }

    pub(super) async fn refresh_content(&mut self) {
        let place = place(&self.agent, self.ip);
        let namespace = self.pod.metadata.namespace.clone().unwrap_or_default();
        let sources = Sources {
            pod: &self.pod,
            place: &place,
            allocatable: &self.agent.allocatable,
            lookup: &Namespace {
                client: &self.agent.client,
                name: &namespace,
            },
            tokens: &PodTokens {
                client: &self.agent.client,
                pod: &self.pod,
                cache: &self.tokens,
            },
        };
        if let Err(problem) = volumes::refresh(&sources, &self.dirs).await {
            let message = format!(
                "MountVolume.SetUp failed for volume {:?} : {}",
                problem.volume, problem.message
            );
            self.agent
                .events
                .pod(&self.pod, Level::Warning, "FailedMount", message);
        }
        self.watch_tokens();
    }
}

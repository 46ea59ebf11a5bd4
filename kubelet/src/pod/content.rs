//! Keeping the content of a running pod's volumes up to date.

use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio::time::{Instant, sleep_until};

use super::message::Message;
use super::set_up::place;
use super::{Owned, Worker};
use crate::agent::Agent;
use crate::clock::after;
use crate::dirs::PodDirs;
use crate::objects::{Namespace, PodTokens, TokenCache};
use crate::pod_events::Level;
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
        let (sender, tokens) = (self.sender.clone(), self.tokens.clone());
        let mut jumps = self.agent.jumps.to_come();
        self.token_timer = Some(Owned(tokio::spawn(async move {
            tokio::select! {
                () = sleep_until(after(renew_at, SLACK)) => {}
                () = jumps.next() => tokens.expire(Instant::now()),
            }
            Self::tell(&sender, Message::ContentChanged);
        })));
    }

    /// Brings the volumes up to date in a task of its own: the API may be slow.
    pub(super) fn refresh_content(&mut self) {
        if let Refresh::Running { again, .. } = &mut self.refresh {
            *again = true;
            return;
        }
        let (agent, pod, dirs) = (self.agent.clone(), self.pod.clone(), self.dirs.clone());
        let (tokens, sender, ip) = (self.tokens.clone(), self.sender.clone(), self.ip);
        let task = tokio::spawn(async move {
            refresh(&agent, &pod, &dirs, &tokens, ip).await;
            Self::tell(&sender, Message::ContentRefreshed);
        });
        self.refresh = Refresh::Running {
            _task: Owned(task),
            again: false,
        };
    }

    pub(super) fn content_refreshed(&mut self) {
        let before = std::mem::take(&mut self.refresh);
        if matches!(before, Refresh::Running { again: true, .. }) {
            return self.refresh_content();
        }
        self.watch_tokens();
    }
}

/// Whether volumes are being brought up to date.
#[derive(Default)]
pub enum Refresh {
    #[default]
    Idle,
    /// Something changed since it began, if `again`.
    Running { _task: Owned, again: bool },
}

async fn refresh(
    agent: &Agent,
    pod: &Pod,
    dirs: &PodDirs,
    tokens: &TokenCache,
    ip: Option<IpAddr>,
) {
    let place = place(agent, ip);
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    let sources = Sources {
        pod,
        place: &place,
        allocatable: &agent.allocatable,
        lookup: &Namespace {
            client: &agent.client,
            name: &namespace,
        },
        tokens: &PodTokens {
            client: &agent.client,
            pod,
            cache: tokens,
        },
    };
    if let Err(problem) = volumes::refresh(&sources, dirs).await {
        let (volume, why) = (problem.volume, problem.message);
        let message = format!("MountVolume.SetUp failed for volume {volume:?} : {why}");
        agent
            .events
            .pod(pod, Level::Warning, "FailedMount", message);
    }
}

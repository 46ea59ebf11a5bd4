//! The end of a pod: the last status, then everything is undone, and if the
//! pod was deleted, its object goes.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, Preconditions};
use tokio::time::Instant;

use super::message::Message;
use super::{Owned, Stage, Worker, set_up};
use crate::clock::after;

/// Before something that failed at the end is tried again.
const RETRY: Duration = Duration::from_secs(2);
/// A deleted pod's object stays this long after its containers have ended:
/// whoever reads its logs or status again and again then sees the end of them.
const LINGER: Duration = Duration::from_millis(250);

impl Worker {
    /// Nothing runs any more: the final status is written before anything that
    /// it tells of is removed, or a crash now would forget it.
    pub(super) fn begin_end(&mut self) {
        self.helpers.clear();
        self.host_ports.clear();
        self.stage = Stage::Ending;
        if self.records.iter().any(|record| record.ran) {
            self.linger_until = Some(after(Instant::now(), LINGER));
        }
        self.publish(Timestamp::now());
        let written = self.removed || self.publisher.is_idle();
        if written {
            self.tear_down();
        }
    }

    /// A status reached the API server.
    pub(super) fn published(&mut self, number: u64) {
        self.publisher.confirm(number);
    }

    /// Goes on with the end as far as it can.
    pub(super) fn keep_ending(&mut self, now: Instant) -> Option<Instant> {
        let lingers = self.linger_until.filter(|until| *until > now);
        match self.stage {
            Stage::Ending if self.removed || self.publisher.is_idle() => self.tear_down(),
            Stage::Ended if self.removed => self.leave(),
            Stage::Ended if self.pod.metadata.deletion_timestamp.is_some() => match lingers {
                Some(until) => return Some(until),
                None => self.delete_object(),
            },
            _ => {}
        }
        None
    }

    fn tear_down(&mut self) {
        if self.ending.is_some() {
            return;
        }
        self.listener = None;
        let (agent, uid, dirs, sender) = (
            self.agent.clone(),
            self.uid.clone(),
            self.dirs.clone(),
            self.sender.clone(),
        );
        let sandbox = self.sandbox.take();
        self.ending = Some(Owned(tokio::spawn(async move {
            while let Err(e) = set_up::tear_down(&agent, &uid, &dirs, sandbox.clone()).await {
                tracing::warn!(pod = uid, "{e}");
                tokio::time::sleep(RETRY).await;
            }
            Self::tell(&sender, Message::TornDown);
        })));
    }

    pub(super) fn torn_down(&mut self) {
        self.ending = None;
        self.stage = Stage::Ended;
        self.evicted = None;
        self.agent.ledger.release(&self.uid);
    }

    /// Deletes the object for good; its end comes back as [`Message::Removed`].
    fn delete_object(&mut self) {
        if self.ending.is_some() || !self.publisher.is_idle() {
            return;
        }
        let namespace = self.pod.metadata.namespace.clone().unwrap_or_default();
        let name = self.pod.metadata.name.clone().unwrap_or_default();
        let api: Api<Pod> = Api::namespaced(self.agent.client.clone(), &namespace);
        let uid = Some(self.uid.clone());
        let preconditions = Some(Preconditions {
            uid,
            resource_version: None,
        });
        let params = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions,
            ..DeleteParams::default()
        };
        let sender = self.sender.clone();
        self.ending = Some(Owned(tokio::spawn(async move {
            match api.delete(&name, &params).await {
                Ok(_) => {}
                // Another pod of that name is there, or none: this one is gone.
                Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {
                    Self::tell(&sender, Message::Removed)
                }
                Err(e) => {
                    tracing::warn!(pod = name, "delete the object of a pod that ended: {e}");
                    tokio::time::sleep(RETRY).await;
                    Self::tell(&sender, Message::DeleteFailed);
                }
            }
        })));
    }

    fn leave(&mut self) {
        if let Err(e) = self.dirs.remove_logs() {
            tracing::warn!(pod = self.uid, "remove the pod's logs: {e}");
        }
        self.stage = Stage::Gone;
    }
}

//! Writing a pod's status: only what changed, the latest only, never holding
//! up the pod.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::message::Message;
use super::{Owned, Sender, Stage, Worker};
use crate::agent::{ContainerView, PodView};
use crate::status::{self, Facts};
use crate::{metrics, traced};

/// How long the first word of a new pod waits for a better one: most pods run
/// before it is over, and need one write less.
const FIRST_WORD: Duration = Duration::from_millis(50);
const SHORTEST_RETRY: Duration = Duration::from_millis(200);
const LONGEST_RETRY: Duration = Duration::from_secs(10);

/// Writes the newest status it was given.
pub struct Publisher {
    latest: watch::Sender<(u64, Option<PodStatus>)>,
    confirmed: u64,
    _task: Owned,
}

impl Publisher {
    pub fn start(client: Client, pod: &Pod, sender: Sender) -> Self {
        let (latest, seen) = watch::channel((0, None));
        let writer = Writer {
            api: Api::namespaced(
                client,
                pod.metadata.namespace.as_deref().unwrap_or_default(),
            ),
            name: pod.metadata.name.clone().unwrap_or_default(),
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            seen,
            sender,
        };
        Self {
            latest,
            confirmed: 0,
            _task: Owned(tokio::spawn(writer.run())),
        }
    }

    pub fn give(&self, status: PodStatus) {
        self.latest
            .send_modify(|latest| *latest = (latest.0 + 1, Some(status)));
    }

    /// Whether all that was given is written.
    pub fn is_idle(&self) -> bool {
        self.confirmed == self.latest.borrow().0
    }

    pub fn confirm(&mut self, number: u64) {
        self.confirmed = self.confirmed.max(number);
    }
}

struct Writer {
    api: Api<Pod>,
    name: String,
    uid: String,
    seen: watch::Receiver<(u64, Option<PodStatus>)>,
    sender: Sender,
}

impl Writer {
    async fn run(mut self) {
        let mut delay = SHORTEST_RETRY;
        while self.seen.changed().await.is_ok() {
            let is_first_word = self.seen.borrow().0 == 1 && self.is_pending();
            if is_first_word {
                // Either a newer status comes, or this one has waited long enough.
                let _ = tokio::time::timeout(FIRST_WORD, self.next()).await;
            }
            let (number, status) = self.seen.borrow_and_update().clone();
            let Some(status) = status else { continue };
            match self.write(&status).await {
                Ok(()) => {
                    delay = SHORTEST_RETRY;
                    Worker::tell(&self.sender, Message::Published(number));
                }
                Err(e) => {
                    tracing::warn!(pod = self.name, "write the status: {e}");
                    let _ = tokio::time::timeout(delay, self.next()).await;
                    delay = (delay * 2).min(LONGEST_RETRY);
                    self.seen.mark_changed();
                }
            }
        }
    }

    fn is_pending(&self) -> bool {
        let latest = self.seen.borrow();
        latest.1.as_ref().and_then(|status| status.phase.as_deref()) == Some("Pending")
    }

    /// Waits for something newer, without taking it.
    async fn next(&mut self) {
        self.seen.borrow_and_update();
        // An error is a pod that is gone; the loop ends on its own.
        let _ = self.seen.changed().await;
    }

    async fn write(&self, status: &PodStatus) -> kube::Result<()> {
        let patch = body(&self.uid, status).map_err(kube::Error::SerdeError)?;
        match self
            .api
            .patch_status(
                &self.name,
                &PatchParams::default(),
                &Patch::Strategic(patch),
            )
            .await
        {
            // The object is gone, or another pod has its name: nothing left to tell.
            Err(kube::Error::Api(e)) if e.code == 404 || e.code == 409 => Ok(()),
            other => other.map(drop),
        }
    }
}

/// The patch: all that is ours, and a `null` for what others must not keep of us.
fn body(uid: &str, status: &PodStatus) -> Result<Value, serde_json::Error> {
    let mut value = serde_json::to_value(status)?;
    for condition in value["conditions"].as_array_mut().into_iter().flatten() {
        for field in ["reason", "message"] {
            if condition.get(field).is_none() {
                condition[field] = Value::Null;
            }
        }
    }
    // Lists merged by a key would keep an address that is no longer ours.
    for list in ["podIPs", "hostIPs"] {
        if let Some(items) = value.get_mut(list).and_then(Value::as_array_mut) {
            items.push(json!({"$patch": "replace"}));
        }
    }
    Ok(json!({"metadata": {"uid": uid}, "status": value}))
}

impl Worker {
    /// Computes the status, and has it written if it differs from the last.
    pub(super) fn publish(&mut self, now: Timestamp) {
        if let Some(status) = self.compute(now)
            && status != self.status
        {
            self.tell_start(&status, now);
            self.status = status;
            if !self.removed {
                self.publisher.give(self.status.clone());
            }
        }
        self.show();
    }

    /// Counts the time until the pod runs, when it does.
    fn tell_start(&self, status: &PodStatus, now: Timestamp) {
        let runs = |status: &PodStatus| status.phase.as_deref() == Some("Running");
        if runs(&self.status) || !runs(status) {
            return;
        }
        let took = now.duration_since(self.start_time);
        let took = Duration::try_from(took).unwrap_or_default();
        metrics::pod_runs(took);
        drop(traced::past_stage(&self.pod, "pod start", took));
    }

    fn compute(&self, now: Timestamp) -> Option<PodStatus> {
        if self.frozen || self.stage == Stage::Ended {
            return None;
        }
        let known_ip = self.status.pod_ip.as_ref().and_then(|ip| ip.parse().ok());
        Some(status::of_pod(&Facts {
            pod: &self.pod,
            records: &self.records,
            failure: self.failure.as_ref(),
            is_disrupted: self.evicted.as_ref().is_some_and(|e| e.is_disruption),
            sandbox_ready: self.sandbox.is_some() && self.ip.is_some(),
            finished: matches!(self.stage, Stage::Ending | Stage::Ended | Stage::Gone),
            host_ip: self.agent.config.node_ip,
            pod_ip: self.ip.or(known_ip),
            start_time: self.start_time,
            before: &self.status,
            now,
        }))
    }

    /// Lets the kubelet API see the pod as it is now.
    fn show(&self) {
        let containers = self.records.iter().map(|record| ContainerView {
            name: record.name.clone(),
            running: record.running().map(|running| running.id.clone()),
            restarts: record.restarts,
            ran: record.ran,
            waiting: record.waiting_reason().map(str::to_owned),
        });
        let view = PodView {
            pod: Arc::clone(&self.pod),
            status: self.status.clone(),
            sandbox: self.sandbox.clone(),
            containers: containers.collect(),
            task: self.sender.clone(),
        };
        self.agent.pods.put(&self.uid, view);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_api::{FakeApi, refusal};
    use k8s_openapi::api::core::v1::{PodCondition, PodIP};

    #[test]
    fn a_condition_without_a_reason_takes_the_old_one_away() {
        let ready = PodCondition {
            type_: "Ready".into(),
            status: "True".into(),
            ..PodCondition::default()
        };
        let status = PodStatus {
            conditions: Some(vec![ready]),
            pod_ips: Some(vec![PodIP {
                ip: "10.0.0.1".into(),
            }]),
            ..PodStatus::default()
        };
        let body = body("u", &status).unwrap();
        assert_eq!(
            body["status"]["conditions"][0],
            json!({"type": "Ready", "status": "True", "reason": null, "message": null})
        );
        assert_eq!(
            body["status"]["podIPs"],
            json!([{"ip": "10.0.0.1"}, {"$patch": "replace"}])
        );
        assert_eq!(body["metadata"]["uid"], "u");
    }

    fn publisher(api: &FakeApi) -> (Publisher, tokio::sync::mpsc::UnboundedReceiver<Message>) {
        let pod = json!({"metadata": {"name": "p", "namespace": "ns", "uid": "u"}});
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let (sender, told) = tokio::sync::mpsc::unbounded_channel();
        (Publisher::start(api.client(), &pod, sender), told)
    }

    fn in_phase(phase: &str) -> PodStatus {
        PodStatus {
            phase: Some(phase.to_owned()),
            ..PodStatus::default()
        }
    }

    #[tokio::test]
    async fn a_first_word_that_is_soon_outdated_is_never_written() {
        let api = FakeApi::new(&[]);
        let (publisher, mut told) = publisher(&api);
        publisher.give(in_phase("Pending"));
        tokio::time::sleep(Duration::from_millis(5)).await;
        publisher.give(in_phase("Running"));
        assert!(matches!(told.recv().await, Some(Message::Published(2))));
        assert_eq!(api.lines(), ["PATCH /api/v1/namespaces/ns/pods/p/status"]);
        assert_eq!(api.asked()[0].body["status"]["phase"], "Running");
    }

    #[tokio::test]
    async fn what_could_not_be_written_is_written_again() {
        let api = FakeApi::new(&[refusal(500)]);
        let (mut publisher, mut told) = publisher(&api);
        publisher.give(in_phase("Running"));
        assert!(!publisher.is_idle());
        let Some(Message::Published(number)) = told.recv().await else {
            panic!("not written")
        };
        publisher.confirm(number);
        assert!(publisher.is_idle());
        assert_eq!(api.asked().len(), 2);
    }

    #[tokio::test]
    async fn a_pod_that_is_gone_needs_no_status() {
        let api = FakeApi::new(&[refusal(404)]);
        let (publisher, mut told) = publisher(&api);
        publisher.give(in_phase("Failed"));
        assert!(matches!(told.recv().await, Some(Message::Published(1))));
    }
}

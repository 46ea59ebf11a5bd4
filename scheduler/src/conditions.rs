//! The condition `PodScheduled`, which says why a pod still waits.
//!
//! Each reason is written once, and no more than a hundred a second: when
//! thousands of pods find no place, saying so must not keep the API server from
//! its work. A pod that found its place meanwhile is not written.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Error;
use crate::cache::Candidate;

/// Written at once, when it was quiet for long enough.
const BURST: u32 = 256;
const GAP: Duration = Duration::from_millis(10);
/// Conditions on their way at once.
const MOST_WRITES: usize = 8;

/// What is, or is to be, written of one pod.
struct Told {
    message: Arc<str>,
    /// The condition is there; only its message changes.
    is_written: bool,
}

/// Why each waiting pod waits.
pub struct Conditions {
    client: Client,
    pods: HashMap<Arc<str>, Told>,
    due: VecDeque<(Arc<str>, Box<str>)>,
    /// When the last of `BURST` writes before the next one was due.
    paced: Instant,
    writes: JoinSet<()>,
    /// Most pods wait for the same reason, which is kept once.
    last: Arc<str>,
}

impl Conditions {
    pub fn new(client: Client, now: Instant) -> Self {
        Self {
            client,
            pods: HashMap::new(),
            due: VecDeque::new(),
            paced: now,
            writes: JoinSet::new(),
            last: "".into(),
        }
    }

    /// The API has this condition of a waiting pod already.
    pub fn know(&mut self, key: &Arc<str>, message: &str) {
        if !self.pods.contains_key(key) {
            let message = self.shared(message);
            let told = Told {
                message,
                is_written: true,
            };
            self.pods.insert(key.clone(), told);
        }
    }

    /// Notes why a pod waits; true if that is news.
    pub fn set(&mut self, pod: &Candidate, message: &str) -> bool {
        if let Some(told) = self.pods.get(&pod.key)
            && *told.message == *message
        {
            return false;
        }
        let message = self.shared(message);
        match self.pods.get_mut(&pod.key) {
            Some(told) => told.message = message,
            None => {
                let told = Told {
                    message,
                    is_written: false,
                };
                self.pods.insert(pod.key.clone(), told);
            }
        }
        self.due.push_back((pod.key.clone(), pod.uid.clone()));
        true
    }

    /// The pod waits no more.
    pub fn forget(&mut self, key: &str) {
        self.pods.remove(key);
    }

    fn shared(&mut self, message: &str) -> Arc<str> {
        if *self.last != *message {
            self.last = message.into();
        }
        self.last.clone()
    }

    /// When [`Conditions::write`] is next worth calling.
    pub fn next_write(&self) -> Option<Instant> {
        let may = !self.due.is_empty() && self.writes.len() < MOST_WRITES;
        may.then_some(self.paced)
    }

    /// Starts the writes that are due at `now`.
    pub fn write(&mut self, now: Instant) {
        let earliest = now.checked_sub(GAP * BURST).unwrap_or(now);
        self.paced = self.paced.max(earliest);
        while self.paced <= now && self.writes.len() < MOST_WRITES {
            let Some((key, uid)) = self.due.pop_front() else {
                return;
            };
            let Some(told) = self.pods.get_mut(&key) else {
                continue;
            };
            let patch = patch(&uid, &told.message, !told.is_written);
            told.is_written = true;
            self.paced += GAP;
            self.writes.spawn(write(self.client.clone(), key, patch));
        }
    }

    /// Waits until one of the writes has ended.
    pub async fn written(&mut self) {
        if self.writes.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

async fn write(client: Client, key: Arc<str>, patch: Value) {
    let (namespace, name) = key.split_once('/').unwrap_or_default();
    let api: Api<Pod> = Api::namespaced(client, namespace);
    // The answer is of no interest, so it is not read as a whole pod.
    let request = kube::core::Request::new(api.resource_url());
    let params = PatchParams::default();
    let patched = match request.patch_subresource("status", name, &params, &Patch::Strategic(patch))
    {
        Ok(request) => api.into_client().request_text(request).await,
        Err(error) => Err(kube::Error::BuildRequest(error)),
    };
    if let Err(source) = patched {
        let pod = key.to_string();
        let error = &Error::Condition { pod, source } as &dyn std::error::Error;
        tracing::debug!(error, "condition not written");
    }
}

fn patch(uid: &str, message: &str, is_new: bool) -> Value {
    let mut condition = json!({
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": message, "lastProbeTime": null,
    });
    if is_new {
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
        condition["lastTransitionTime"] = now.to_string().into();
    }
    json!({ "metadata": { "uid": uid }, "status": { "conditions": [condition] } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str) -> Candidate {
        let pod = json!({ "metadata": { "name": name, "namespace": "d", "uid": name } });
        Candidate::new(&serde_json::from_value(pod).unwrap(), Arc::default())
    }

    /// A client whose server never answers.
    fn silent() -> Client {
        let service = tower::service_fn(|_: http::Request<kube::client::Body>| async {
            std::future::pending::<()>().await;
            Ok::<_, std::convert::Infallible>(http::Response::new(kube::client::Body::empty()))
        });
        Client::new(service, "default")
    }

    #[tokio::test]
    async fn the_same_reason_is_told_once() {
        let mut conditions = Conditions::new(silent(), Instant::now());
        assert!(conditions.set(&pod("a"), "no room"));
        assert!(!conditions.set(&pod("a"), "no room"));
        assert!(conditions.set(&pod("a"), "no node"));
        conditions.know(&"d/b".into(), "no room");
        assert!(!conditions.set(&pod("b"), "no room"));
    }

    #[tokio::test]
    async fn a_pod_that_waits_no_more_is_not_written() {
        let now = Instant::now();
        let mut conditions = Conditions::new(silent(), now);
        conditions.set(&pod("a"), "no room");
        conditions.set(&pod("b"), "no room");
        conditions.forget("d/a");
        conditions.write(now);
        assert_eq!((conditions.writes.len(), conditions.due.len()), (1, 0));
    }

    #[tokio::test]
    async fn writes_are_bounded_in_number_and_in_pace() {
        let now = Instant::now() + GAP * BURST * 2;
        let mut conditions = Conditions::new(silent(), now);
        for number in 0..1000 {
            conditions.set(&pod(&number.to_string()), "no room");
        }
        conditions.write(now);
        assert_eq!(
            conditions.writes.len(),
            1,
            "no burst without a quiet time before it"
        );
        assert_eq!(conditions.next_write(), Some(now + GAP));
        conditions.write(now + GAP * 500);
        assert_eq!(conditions.writes.len(), MOST_WRITES);
        assert_eq!(conditions.next_write(), None);
    }
}

//! What a decision leaves behind for people: events, and the condition
//! `PodScheduled`.

use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use kube::api::{Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Client};
use serde_json::json;

use crate::Error;
use crate::cache::Candidate;

#[derive(Clone)]
pub struct Reports {
    client: Client,
    recorder: Recorder,
}

impl Reports {
    pub fn new(client: Client, scheduler_name: &str) -> Self {
        let reporter = Reporter {
            controller: scheduler_name.to_owned(),
            instance: None,
        };
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            client,
        }
    }

    pub async fn scheduled(&self, pod: &Candidate, node: &str) -> Result<(), Error> {
        let note = format!("Successfully assigned {} to {node}", pod.key);
        self.event(pod, EventType::Normal, "Scheduled", "Binding", note)
            .await
    }

    /// Says why the pod still waits, as an event and in its status.
    pub async fn failed(&self, pod: &Candidate, message: &str) -> Result<(), Error> {
        self.condition(pod, message).await?;
        self.event(
            pod,
            EventType::Warning,
            "FailedScheduling",
            "Scheduling",
            message.to_owned(),
        )
        .await
    }

    async fn event(
        &self,
        pod: &Candidate,
        type_: EventType,
        reason: &'static str,
        action: &str,
        note: String,
    ) -> Result<(), Error> {
        let event = Event {
            type_,
            reason: reason.into(),
            note: Some(note),
            action: action.into(),
            secondary: None,
        };
        let published = self.recorder.publish(&event, &reference(pod)).await;
        published.map_err(|source| Error::Event {
            pod: pod.key.clone(),
            reason,
            source,
        })
    }

    async fn condition(&self, pod: &Candidate, message: &str) -> Result<(), Error> {
        let (namespace, name) = pod.key.split_once('/').unwrap_or_default();
        let patch = json!({
            "metadata": { "uid": pod.uid },
            "status": { "conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "message": message, "lastProbeTime": null,
                "lastTransitionTime": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            }]},
        });
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let patched = api
            .patch_status(name, &PatchParams::default(), &Patch::Strategic(patch))
            .await;
        patched.map(drop).map_err(|source| Error::Condition {
            pod: pod.key.clone(),
            source,
        })
    }
}

fn reference(pod: &Candidate) -> ObjectReference {
    let (namespace, name) = pod.key.split_once('/').unwrap_or_default();
    ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Pod".into()),
        namespace: Some(namespace.into()),
        name: Some(name.into()),
        uid: Some(pod.uid.clone()),
        ..ObjectReference::default()
    }
}

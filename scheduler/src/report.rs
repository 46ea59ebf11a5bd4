//! What a decision leaves behind for people: events.

use events::{Level, Recorder, Told};
use k8s_openapi::api::core::v1::ObjectReference;

use crate::cache::Candidate;

/// Tells where a pod went, or why it goes nowhere.
pub struct Reports {
    recorder: Recorder,
}

impl Reports {
    pub fn new(recorder: Recorder) -> Self {
        Self { recorder }
    }

    pub fn scheduled(&self, pod: &Candidate, node: &str) {
        self.recorder.tell(Told {
            about: reference(pod),
            level: Level::Normal,
            reason: "Scheduled".into(),
            action: Some("Binding"),
            message: format!("Successfully assigned {} to {node}", pod.key),
        });
    }

    pub fn failed(&self, pod: &Candidate, message: &str) {
        self.recorder.tell(Told {
            about: reference(pod),
            level: Level::Warning,
            reason: "FailedScheduling".into(),
            action: Some("Scheduling"),
            message: message.to_owned(),
        });
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

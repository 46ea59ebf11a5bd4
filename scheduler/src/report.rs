//! What a decision leaves behind for people: events.

use std::collections::HashMap;
use std::sync::Arc;

use events::{Events, Level, Recorder, Told};
use k8s_openapi::api::core::v1::ObjectReference;

use crate::cache::Candidate;

/// Tells where a pod went, or why it goes nowhere, in its scheduler's name.
pub struct Reports {
    recorders: HashMap<String, Recorder>,
}

impl Reports {
    pub fn new<'n>(events: &Arc<Events>, names: impl Iterator<Item = &'n str>) -> Self {
        let recorders = names.map(|name| (name.to_owned(), events.recorder(name)));
        Self {
            recorders: recorders.collect(),
        }
    }

    pub fn scheduled(&self, pod: &Candidate, node: &str) {
        let message = format!("Successfully assigned {} to {node}", pod.key);
        let about = reference(&pod.key, &pod.uid);
        let told = told(about, Level::Normal, "Scheduled", "Binding", message);
        self.tell(pod, told);
    }

    pub fn failed(&self, pod: &Candidate, message: &str) {
        let (level, message) = (Level::Warning, message.to_owned());
        let about = reference(&pod.key, &pod.uid);
        let told = told(about, level, "FailedScheduling", "Scheduling", message);
        self.tell(pod, told);
    }

    /// The pod `key` ends for `pod`.
    pub fn preempted(&self, pod: &Candidate, key: &str, uid: &str, node: &str) {
        let message = format!("Preempted by pod {} on node {node}", pod.uid);
        let about = reference(key, uid);
        let told = told(about, Level::Normal, "Preempted", "Preempting", message);
        self.tell(pod, told);
    }

    fn tell(&self, pod: &Candidate, told: Told) {
        if let Some(recorder) = self.recorders.get(pod.scheduler()) {
            recorder.tell(told);
        }
    }
}

fn told(
    about: ObjectReference,
    level: Level,
    reason: &'static str,
    action: &'static str,
    message: String,
) -> Told {
    Told {
        about,
        level,
        reason: reason.into(),
        action: Some(action),
        message,
    }
}

fn reference(key: &str, uid: &str) -> ObjectReference {
    let (namespace, name) = key.split_once('/').unwrap_or_default();
    ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Pod".into()),
        namespace: Some(namespace.into()),
        name: Some(name.into()),
        uid: Some(uid.into()),
        ..ObjectReference::default()
    }
}

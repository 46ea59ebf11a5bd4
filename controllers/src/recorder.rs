//! Events: what a controller tells people it did.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder as Publisher, Reporter};
use kube::{Client, Resource};

/// Publishes events in the name of one controller, in the background.
#[derive(Clone)]
pub struct Recorder {
    publisher: Publisher,
}

impl Recorder {
    pub fn new(client: Client, controller: &str) -> Self {
        let reporter = Reporter {
            controller: controller.to_owned(),
            instance: None,
        };
        Self {
            publisher: Publisher::new(client, reporter),
        }
    }

    pub fn normal<K: Resource<DynamicType = ()>>(&self, about: &K, reason: &str, note: String) {
        self.publish(reference(about), EventType::Normal, reason, note);
    }

    pub fn warning<K: Resource<DynamicType = ()>>(&self, about: &K, reason: &str, note: String) {
        self.publish(reference(about), EventType::Warning, reason, note);
    }

    fn publish(&self, about: ObjectReference, type_: EventType, reason: &str, note: String) {
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(note),
            action: reason.to_owned(),
            secondary: None,
        };
        let publisher = self.publisher.clone();
        tokio::spawn(async move {
            if let Err(error) = publisher.publish(&event, &about).await {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(reason = event.reason, error, "event not recorded");
            }
        });
    }
}

fn reference<K: Resource<DynamicType = ()>>(about: &K) -> ObjectReference {
    let meta = about.meta();
    ObjectReference {
        api_version: Some(K::api_version(&()).into_owned()),
        kind: Some(K::kind(&()).into_owned()),
        namespace: meta.namespace.clone(),
        name: meta.name.clone(),
        uid: meta.uid.clone(),
        resource_version: meta.resource_version.clone(),
        ..ObjectReference::default()
    }
}

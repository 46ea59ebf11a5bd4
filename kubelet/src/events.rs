//! Events about pods and the node, told to the API server without holding up
//! whoever has something to tell.
//!
//! The same event again only counts up on the one that is there, so a pod that
//! fails for a week has a handful of events.

use std::borrow::Cow;
use std::collections::HashMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::status::whole_seconds;

/// Events kept waiting while the API server is away; more are dropped.
const QUEUE: usize = 4096;
/// Distinct events that are remembered for counting.
const REMEMBERED: usize = 4096;

/// `Normal` or `Warning`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    Normal,
    Warning,
}

#[derive(Clone, Debug)]
struct Occurrence {
    about: ObjectReference,
    level: Level,
    reason: Cow<'static, str>,
    message: String,
    time: Timestamp,
}

/// Takes events; cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Occurrence>,
}

impl Recorder {
    /// Starts telling events to the API server, until `shutdown`.
    pub fn start(client: Client, node_name: &str, shutdown: CancellationToken) -> Self {
        let (queue, occurrences) = mpsc::channel(QUEUE);
        let writer = Writer {
            client,
            node_name: node_name.to_owned(),
            known: HashMap::new(),
        };
        tokio::spawn(writer.run(occurrences, shutdown));
        Self { queue }
    }

    pub fn pod(&self, pod: &Pod, level: Level, reason: &'static str, message: impl Into<String>) {
        self.tell(of_pod(pod, None), level, reason, message.into());
    }

    /// A pod this node refused; the reason is the refusal's.
    pub fn rejected(&self, pod: &Pod, reason: &str, message: String) {
        self.tell(
            of_pod(pod, None),
            Level::Warning,
            reason.to_owned(),
            message,
        );
    }

    /// An event about one container; `field` is such as `spec.containers{c}`.
    pub fn container(
        &self,
        pod: &Pod,
        field: String,
        level: Level,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        self.tell(of_pod(pod, Some(field)), level, reason, message.into());
    }

    fn tell(
        &self,
        about: ObjectReference,
        level: Level,
        reason: impl Into<Cow<'static, str>>,
        message: String,
    ) {
        let reason = reason.into();
        let occurrence = Occurrence {
            about,
            level,
            reason,
            message,
            time: Timestamp::now(),
        };
        if self.queue.try_send(occurrence).is_err() {
            tracing::debug!("dropped an event: the queue is full");
        }
    }
}

fn of_pod(pod: &Pod, field_path: Option<String>) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Pod".into()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        resource_version: pod.metadata.resource_version.clone(),
        field_path,
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    uid: String,
    field: Option<String>,
    level: Level,
    reason: Cow<'static, str>,
    message: String,
}

/// An event that was written, for counting up.
struct Known {
    name: String,
    count: i32,
}

struct Writer {
    client: Client,
    node_name: String,
    known: HashMap<Key, Known>,
}

impl Writer {
    async fn run(
        mut self,
        mut occurrences: mpsc::Receiver<Occurrence>,
        shutdown: CancellationToken,
    ) {
        loop {
            let next = tokio::select! {
                next = occurrences.recv() => next,
                () = shutdown.cancelled() => return,
            };
            let Some(occurrence) = next else { return };
            if let Err(e) = self.write(&occurrence).await {
                tracing::debug!(reason = %occurrence.reason, "write an event: {e}");
            }
        }
    }

    async fn write(&mut self, occurrence: &Occurrence) -> kube::Result<()> {
        let about = &occurrence.about;
        let namespace = about.namespace.as_deref().unwrap_or("default");
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let key = Key {
            uid: about.uid.clone().unwrap_or_default(),
            field: about.field_path.clone(),
            level: occurrence.level,
            reason: occurrence.reason.clone(),
            message: occurrence.message.clone(),
        };
        if let Some(known) = self.known.get_mut(&key) {
            known.count = known.count.saturating_add(1);
            let patch =
                json!({"count": known.count, "lastTimestamp": whole_seconds(occurrence.time)});
            match api
                .patch(&known.name, &PatchParams::default(), &Patch::Merge(patch))
                .await
            {
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                other => return other.map(drop),
            }
        }
        let event = self.event(occurrence, namespace);
        let name = event.metadata.name.clone().unwrap_or_default();
        api.create(&PostParams::default(), &event).await?;
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(key, Known { name, count: 1 });
        Ok(())
    }

    fn event(&self, occurrence: &Occurrence, namespace: &str) -> Event {
        let about = &occurrence.about;
        let time = Time(whole_seconds(occurrence.time));
        let suffix = occurrence.time.as_nanosecond();
        let name = format!("{}.{suffix:x}", about.name.as_deref().unwrap_or_default());
        Event {
            metadata: ObjectMeta {
                name: Some(name),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            involved_object: about.clone(),
            reason: Some(occurrence.reason.clone().into_owned()),
            message: Some(shorten(&occurrence.message)),
            type_: Some(format!("{:?}", occurrence.level)),
            source: Some(EventSource {
                component: Some("kubelet".into()),
                host: Some(self.node_name.clone()),
            }),
            reporting_component: Some("kubelet".into()),
            reporting_instance: Some(self.node_name.clone()),
            first_timestamp: Some(time.clone()),
            last_timestamp: Some(time),
            count: Some(1),
            ..Event::default()
        }
    }
}

/// At most the 1 KiB that the API allows a message.
fn shorten(message: &str) -> String {
    let mut end = message.len().min(1024);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message[..end].to_owned()
}

/// The field of a container that events are about.
pub fn field_of(role: crate::record::Role, name: &str) -> String {
    use crate::record::Role;
    match role {
        Role::Init | Role::Sidecar => format!("spec.initContainers{{{name}}}"),
        Role::Main => format!("spec.containers{{{name}}}"),
        Role::Ephemeral => format!("spec.ephemeralContainers{{{name}}}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_api::FakeApi;
    use crate::record::Role;

    fn pod() -> Pod {
        let pod = json!({"metadata": {"name": "p", "namespace": "ns", "uid": "u"}});
        serde_json::from_value(pod).unwrap()
    }

    #[tokio::test]
    async fn the_same_event_again_counts_up_on_the_first() {
        let api = FakeApi::new(&[]);
        let recorder = Recorder::start(api.client(), "n1", CancellationToken::new());
        let field = field_of(Role::Main, "c");
        for message in ["a", "a", "b"] {
            recorder.container(&pod(), field.clone(), Level::Warning, "Unhealthy", message);
        }
        let asked = api.wait_for(3).await;
        assert_eq!(asked[0].path, "/api/v1/namespaces/ns/events");
        assert_eq!(
            asked[0].body["involvedObject"]["fieldPath"],
            "spec.containers{c}"
        );
        assert_eq!(
            (&asked[0].body["type"], &asked[0].body["count"]),
            (&json!("Warning"), &json!(1))
        );
        let first = asked[0].body["metadata"]["name"].as_str().unwrap();
        assert!(asked[1].path.ends_with(first), "{}", asked[1].path);
        assert_eq!(
            (asked[1].method.as_str(), &asked[1].body["count"]),
            ("PATCH", &json!(2))
        );
        assert_eq!(
            (asked[2].method.as_str(), &asked[2].body["message"]),
            ("POST", &json!("b"))
        );
    }

    #[test]
    fn messages_are_cut_at_a_character() {
        assert_eq!(shorten(&"ä".repeat(600)).len(), 1024);
        assert_eq!(shorten(&format!("a{}", "ä".repeat(600))).len(), 1023);
    }
}

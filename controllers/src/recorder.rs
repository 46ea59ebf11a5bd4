//! Events: what a controller tells people it did.
//!
//! Told in passing: they are written one after the other in the background,
//! those that say the same are counted instead, and of too many about one
//! object the rest is dropped, so that no trouble floods the store.

mod correlate;

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use correlate::{Correlation, Outcome};

/// Events waiting to be written; more are dropped.
const WAITING: usize = 4096;
const LONGEST_MESSAGE: usize = 1024;

/// Where all events of all controllers go.
pub struct Events {
    sender: mpsc::Sender<Told>,
    receiver: Mutex<Option<mpsc::Receiver<Told>>>,
}

/// Tells events in the name of one controller.
#[derive(Clone)]
pub struct Recorder {
    controller: &'static str,
    sender: mpsc::Sender<Told>,
}

/// One thing that was told.
#[derive(Debug, Clone)]
pub struct Told {
    controller: &'static str,
    about: ObjectReference,
    type_: &'static str,
    reason: String,
    message: String,
    at: Timestamp,
}

impl Events {
    pub fn new() -> Arc<Self> {
        let (sender, receiver) = mpsc::channel(WAITING);
        Arc::new(Self {
            sender,
            receiver: Mutex::new(Some(receiver)),
        })
    }

    pub fn recorder(&self, controller: &'static str) -> Recorder {
        Recorder {
            controller,
            sender: self.sender.clone(),
        }
    }

    /// Writes events until `shutdown`. The first to call it does.
    pub async fn run(self: Arc<Self>, client: Client, shutdown: CancellationToken) {
        let receiver = self.receiver.lock();
        let receiver = receiver.unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut receiver) = receiver else { return };
        let mut correlation = Correlation::default();
        let writing = async {
            while let Some(told) = receiver.recv().await {
                write(&client, &mut correlation, told).await;
            }
        };
        shutdown.run_until_cancelled(writing).await;
    }
}

impl Recorder {
    pub fn normal<K: Resource<DynamicType = ()>>(&self, about: &K, reason: &str, note: String) {
        self.tell(reference(about), "Normal", reason, note);
    }

    pub fn warning<K: Resource<DynamicType = ()>>(&self, about: &K, reason: &str, note: String) {
        self.tell(reference(about), "Warning", reason, note);
    }

    fn tell(&self, about: ObjectReference, type_: &'static str, reason: &str, message: String) {
        let told = Told {
            controller: self.controller,
            about,
            type_,
            reason: reason.to_owned(),
            message,
            at: Timestamp::now(),
        };
        if self.sender.try_send(told).is_err() {
            tracing::debug!(reason, "too many events; one was dropped");
        }
    }
}

async fn write(client: &Client, correlation: &mut Correlation, told: Told) {
    let namespace = told
        .about
        .namespace
        .clone()
        .unwrap_or_else(|| "default".into());
    let api: Api<Event> = Api::namespaced(client.clone(), &namespace);
    let written = match correlation.place(&told) {
        Outcome::Drop => return,
        Outcome::New { name, message } => create(&api, &namespace, name, message, &told).await,
        Outcome::Again {
            name,
            message,
            count,
        } => {
            let patch =
                json!({ "count": count, "message": message, "lastTimestamp": Time(told.at) });
            let params = PatchParams::default();
            match api.patch(&name, &params, &Patch::Merge(patch)).await {
                // It has expired meanwhile.
                Err(kube::Error::Api(status)) if status.code == 404 => {
                    create(&api, &namespace, name, message, &told).await
                }
                patched => patched.map(drop),
            }
        }
    };
    if let Err(error) = written {
        let error = &error as &dyn std::error::Error;
        tracing::debug!(reason = told.reason, error, "event not recorded");
    }
}

async fn create(
    api: &Api<Event>,
    namespace: &str,
    name: String,
    mut message: String,
    told: &Told,
) -> Result<(), kube::Error> {
    let end = message.floor_char_boundary(LONGEST_MESSAGE);
    message.truncate(end);
    let event = Event {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        involved_object: told.about.clone(),
        reason: Some(told.reason.clone()),
        message: Some(message),
        type_: Some(told.type_.to_owned()),
        count: Some(1),
        first_timestamp: Some(Time(told.at)),
        last_timestamp: Some(Time(told.at)),
        source: Some(EventSource {
            component: Some(told.controller.to_owned()),
            host: None,
        }),
        reporting_component: Some(told.controller.to_owned()),
        ..Event::default()
    };
    api.create(&PostParams::default(), &event).await.map(drop)
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

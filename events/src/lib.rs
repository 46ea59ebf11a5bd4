//! Events: what a part of skiff tells people it did, or could not do.
//!
//! Telling is in passing: it never blocks and never fails. One background task
//! a process writes what was told. The same told again is counted on the event
//! that is there, many alike are combined into one, and floods are cut: first
//! those about one object, then all there are. So no trouble fills the store,
//! and events cost a busy cluster next to nothing. What is lost is lost; who
//! must know something reads the object's status.

mod correlate;
mod event;
mod pace;
mod recent;
mod writer;

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Client, Resource};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use writer::Writer;

/// Events waiting to be written; more are dropped.
const WAITING: usize = 4096;

/// `Normal` or `Warning`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    Normal,
    Warning,
}

/// Who tells.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Source {
    component: String,
    /// The node, for what tells about one node only.
    host: Option<String>,
}

/// One thing to tell.
#[derive(Debug, Clone)]
pub struct Told {
    pub about: ObjectReference,
    pub level: Level,
    pub reason: Cow<'static, str>,
    /// What was being done. With it, the event is of the form that
    /// `events.k8s.io` brought: a time and a series, no counts.
    pub action: Option<&'static str>,
    pub message: String,
}

#[derive(Debug)]
struct Occurrence {
    told: Told,
    source: Arc<Source>,
    at: Timestamp,
}

/// Where all events of one process go, until [`Events::run`] writes them.
pub struct Events {
    queue: mpsc::Sender<Occurrence>,
    waiting: Mutex<Option<mpsc::Receiver<Occurrence>>>,
}

impl Events {
    pub fn new() -> Arc<Self> {
        let (queue, waiting) = mpsc::channel(WAITING);
        Arc::new(Self {
            queue,
            waiting: Mutex::new(Some(waiting)),
        })
    }

    /// Tells in the name of `component`.
    pub fn recorder(&self, component: &str) -> Recorder {
        self.recorder_of(component, None)
    }

    /// Tells in the name of `component` on the node `host`.
    pub fn recorder_on(&self, component: &str, host: &str) -> Recorder {
        self.recorder_of(component, Some(host.to_owned()))
    }

    fn recorder_of(&self, component: &str, host: Option<String>) -> Recorder {
        let component = component.to_owned();
        Recorder {
            source: Arc::new(Source { component, host }),
            queue: self.queue.clone(),
        }
    }

    /// Writes events until `shutdown`. The first to call it does; the owner of
    /// the process' events spawns and joins it.
    pub async fn run(self: Arc<Self>, client: Client, shutdown: CancellationToken) {
        let waiting = self.waiting.lock();
        let waiting = waiting.unwrap_or_else(PoisonError::into_inner).take();
        let Some(waiting) = waiting else { return };
        let writing = Writer::new(client).run(waiting);
        shutdown.run_until_cancelled(writing).await;
    }
}

/// Takes what there is to tell. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    source: Arc<Source>,
    queue: mpsc::Sender<Occurrence>,
}

impl Recorder {
    pub fn normal<K>(&self, about: &K, reason: &'static str, message: impl Into<String>)
    where
        K: Resource<DynamicType = ()>,
    {
        self.about(about, Level::Normal, reason, message.into());
    }

    pub fn warning<K>(&self, about: &K, reason: &'static str, message: impl Into<String>)
    where
        K: Resource<DynamicType = ()>,
    {
        self.about(about, Level::Warning, reason, message.into());
    }

    fn about<K>(&self, about: &K, level: Level, reason: &'static str, message: String)
    where
        K: Resource<DynamicType = ()>,
    {
        self.tell(Told {
            about: reference(about),
            level,
            reason: reason.into(),
            action: None,
            message,
        });
    }

    /// Never blocks: what finds the queue full is dropped.
    pub fn tell(&self, told: Told) {
        let occurrence = Occurrence {
            told,
            source: self.source.clone(),
            at: Timestamp::now(),
        };
        if let Err(full) = self.queue.try_send(occurrence) {
            let reason = &*full.into_inner().told.reason;
            tracing::debug!(reason, "too many events; one was dropped");
        }
    }
}

/// An object as events name it.
pub fn reference<K: Resource<DynamicType = ()>>(about: &K) -> ObjectReference {
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

//! The scheduler's one task.

use std::collections::HashSet;
use std::sync::Arc;

use events::Events;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::bind::bind;
use crate::cache::{Cache, Candidate};
use crate::conditions::Conditions;
use crate::cycle::{self, Unschedulable};
use crate::object::{Node, Pod};
use crate::plugins::Wakeup;
use crate::queue::Queue;
use crate::report::Reports;

/// Pods decided on before watches are looked at again.
const BATCH: usize = 64;
/// Bindings on their way at once.
const MOST_BINDINGS: usize = 256;

#[derive(Debug, Clone)]
pub struct Config {
    /// Pods with this `spec.schedulerName` are ours.
    pub scheduler_name: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            scheduler_name: "default-scheduler".into(),
        }
    }
}

/// Schedules until `shutdown`; bindings on their way are finished first.
///
/// # Errors
/// None ends the scheduler today: what fails is logged and tried again.
pub async fn run(config: Config, client: Client, shutdown: CancellationToken) -> Result<(), Error> {
    let mut pods = watch::<Pod>(&client, "status.phase!=Succeeded,status.phase!=Failed");
    let mut nodes = watch::<Node>(&client, "");
    let events = Events::new();
    let telling = tokio::spawn(events.clone().run(client.clone(), shutdown.clone()));
    let mut scheduler = Scheduler::new(config, client, &events);
    loop {
        let has_work = scheduler.schedule_batch();
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(event) = nodes.next() => scheduler.on_node(event),
            Some(event) = pods.next() => scheduler.on_pod(event),
            Some(bound) = scheduler.bindings.join_next() => scheduler.on_bound(bound),
            () = until(scheduler.queue.next_timer()) => scheduler.queue.tick(Instant::now()),
            () = until(scheduler.conditions.next_write()) => scheduler.conditions.write(Instant::now()),
            () = scheduler.conditions.written() => {}
            () = std::future::ready(()), if has_work => {}
        }
    }
    scheduler.bindings.join_all().await;
    // Ends with `shutdown`, as this does.
    let _ = telling.await;
    Ok(())
}

type Bound = (Candidate, Result<String, Error>);

struct Scheduler {
    config: Config,
    client: Client,
    reports: Reports,
    conditions: Conditions,
    cache: Cache,
    queue: Queue,
    bindings: JoinSet<Bound>,
    listed_pods: HashSet<Arc<str>>,
    listed_nodes: HashSet<String>,
    decisions: usize,
    /// Nodes have been listed once: before that, "no node" means nothing.
    knows_nodes: bool,
}

impl Scheduler {
    fn new(config: Config, client: Client, events: &Events) -> Self {
        Self {
            reports: Reports::new(events.recorder(&config.scheduler_name)),
            conditions: Conditions::new(client.clone(), Instant::now()),
            config,
            client,
            cache: Cache::default(),
            queue: Queue::default(),
            bindings: JoinSet::new(),
            listed_pods: HashSet::new(),
            listed_nodes: HashSet::new(),
            decisions: 0,
            knows_nodes: false,
        }
    }

    fn on_node(&mut self, event: Event<Node>) {
        match event {
            Event::Init => self.listed_nodes.clear(),
            Event::InitApply(node) => {
                self.listed_nodes
                    .insert(node.metadata.name.clone().unwrap_or_default());
                self.cache.set_node(&node);
            }
            Event::InitDone => {
                for name in self.cache.node_names() {
                    if !self.listed_nodes.contains(&name) {
                        self.cache.remove_node(&name);
                    }
                }
                self.knows_nodes = true;
                self.queue.wake(Wakeup::Node, Instant::now());
            }
            Event::Apply(node) => {
                // A heartbeat changes nothing that a pod could wait for.
                if self.cache.set_node(&node) {
                    self.queue.wake(Wakeup::Node, Instant::now());
                }
            }
            Event::Delete(node) => {
                let name = node.metadata.name.unwrap_or_default();
                self.cache.remove_node(&name);
            }
        }
    }

    fn on_pod(&mut self, event: Event<Pod>) {
        match event {
            Event::Init => self.listed_pods.clear(),
            Event::InitApply(pod) => {
                self.listed_pods.insert(pod.key());
                self.see(&pod);
            }
            Event::InitDone => self.drop_unlisted_pods(),
            Event::Apply(pod) => self.see(&pod),
            Event::Delete(pod) => self.lose(&pod.key()),
        }
    }

    fn see(&mut self, pod: &Pod) {
        let key = pod.key();
        if pod.is_finished() {
            return self.lose(&key);
        }
        if let Some(node) = pod.spec.node_name.as_deref().filter(|n| !n.is_empty()) {
            self.cache.set_pod(pod, node);
            self.queue.remove(&key);
            self.conditions.forget(&key);
            return;
        }
        let named = pod.spec.scheduler_name.as_deref();
        let is_ours = named.is_none_or(|name| name == self.config.scheduler_name);
        let is_deleted = pod.metadata.deletion_timestamp.is_some();
        if is_ours && !is_deleted && pod.spec.scheduling_gates.is_empty() {
            if let Some(message) = pod.unschedulable() {
                self.conditions.know(&key, message);
            }
            self.queue.add(Candidate::new(pod));
        } else {
            self.queue.remove(&key);
        }
    }

    fn lose(&mut self, key: &str) {
        self.queue.remove(key);
        self.conditions.forget(key);
        if self.cache.remove_pod(key) {
            self.queue.wake(Wakeup::NodeOrPod, Instant::now());
        }
    }

    fn drop_unlisted_pods(&mut self) {
        let listed = std::mem::take(&mut self.listed_pods);
        let mut known = self.cache.confirmed_pods();
        known.extend(self.queue.keys());
        for key in known {
            if !listed.contains(&key) {
                self.lose(&key);
            }
        }
    }

    /// Decides on up to a batch of pods; true while more are ready.
    fn schedule_batch(&mut self) -> bool {
        if !self.knows_nodes {
            return false;
        }
        for _ in 0..BATCH {
            if self.bindings.len() >= MOST_BINDINGS {
                return false;
            }
            let Some(pod) = self.queue.pop(Instant::now()) else {
                return false;
            };
            self.schedule(pod);
        }
        true
    }

    fn schedule(&mut self, pod: Candidate) {
        self.decisions = self.decisions.wrapping_add(1);
        match cycle::choose(&self.cache, &pod, self.decisions) {
            Ok(node) => self.assume_and_bind(pod, node),
            Err(refused) => self.park(&pod, &refused),
        }
    }

    fn assume_and_bind(&mut self, pod: Candidate, node: String) {
        self.cache.assume(&pod, &node);
        let client = self.client.clone();
        self.bindings.spawn(async move {
            let bound = bind(&client, &pod, &node).await.map(|()| node);
            (pod, bound)
        });
    }

    fn park(&mut self, pod: &Candidate, refused: &Unschedulable) {
        self.queue.park(&pod.key, refused.wakeup, Instant::now());
        if self.conditions.set(pod, &refused.message) {
            self.reports.failed(pod, &refused.message);
        }
    }

    fn on_bound(&mut self, bound: Result<Bound, tokio::task::JoinError>) {
        let Ok((pod, result)) = bound else {
            return;
        };
        let error = match result {
            Ok(node) => {
                self.queue.remove(&pod.key);
                return self.reports.scheduled(&pod, &node);
            }
            Err(error) => error,
        };
        self.cache.forget(&pod.key);
        self.queue.retry(&pod.key, Instant::now());
        if !is_gone(&error) {
            tracing::warn!(error = &error as &dyn std::error::Error, "binding failed");
        }
    }
}

/// The pod was deleted, or bound by somebody else, while we decided.
fn is_gone(error: &Error) -> bool {
    matches!(error, Error::Bind { source: kube::Error::Api(status), .. } if status.code == 404 || status.code == 409)
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn watch<K>(client: &Client, fields: &str) -> BoxStream<'static, Event<K>>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + Send + 'static,
    K: serde::de::DeserializeOwned,
{
    let config = watcher::Config::default().fields(fields);
    watcher(Api::<K>::all(client.clone()), config)
        .default_backoff()
        .inspect_err(|error| {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "watch broke; listing again"
            );
        })
        .filter_map(|event| std::future::ready(event.ok()))
        .boxed()
}

//! The scheduler's one task.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use events::Events;
use futures::StreamExt;
use kube::Client;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::budgets::Budgets;
use crate::cluster::Cluster;
use crate::conditions::Conditions;
use crate::configuration::Config;
use crate::metrics::Metrics;
use crate::nominations::Nominations;
use crate::profile::Profile;
use crate::queue::Queue;
use crate::report::Reports;
use crate::template::Templates;

mod bindings;
mod decide;
mod nodes;
mod pods;
mod preempt;
mod tables;
mod watches;

use bindings::Volumes;

/// How long pods are decided on before others get to run: the thread is theirs too.
const BATCH: Duration = Duration::from_millis(2);
/// What watches have shown that is taken in at once: there is more to see than
/// to decide.
const SEEN_AT_ONCE: usize = 256;
/// Requests on their way at once.
const MOST_TASKS: usize = 256;

/// Schedules until `shutdown`; bindings on their way are finished first.
///
/// # Errors
/// None ends the scheduler today: what fails is logged and tried again.
pub async fn run(config: Config, client: Client, shutdown: CancellationToken) -> Result<(), Error> {
    let mut watches = watches::all(&client).ready_chunks(SEEN_AT_ONCE);
    let events = Events::new();
    let telling = tokio::spawn(events.clone().run(client.clone(), shutdown.clone()));
    let mut scheduler = Scheduler::new(config, client, &events);
    loop {
        let has_work = scheduler.schedule_batch();
        let nodes = scheduler.cluster.cache.node_count();
        scheduler.metrics.sizes(scheduler.queue.counts(), nodes);
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(seen) = watches.next() => seen.into_iter().for_each(|seen| seen(&mut scheduler)),
            Some(done) = scheduler.tasks.join_next() => scheduler.on_done(done),
            () = until(scheduler.queue.next_timer()) => scheduler.queue.tick(Instant::now()),
            () = until(scheduler.conditions.next_write()) => scheduler.conditions.write(Instant::now()),
            () = scheduler.conditions.written() => {}
            () = until(scheduler.volumes.next_deadline()) => scheduler.give_up_on_volumes(Instant::now()),
            () = std::future::ready(()), if has_work => {}
        }
    }
    scheduler.tasks.join_all().await;
    // Ends with `shutdown`, as this does.
    let _ = telling.await;
    Ok(())
}

struct Scheduler {
    profiles: Vec<Arc<Profile>>,
    client: Client,
    reports: Reports,
    metrics: Metrics,
    conditions: Conditions,
    cluster: Cluster,
    templates: Templates,
    budgets: Budgets,
    nominations: Nominations,
    queue: Queue,
    /// Pods whose place is decided, but whose volumes are not there yet.
    volumes: Volumes,
    tasks: JoinSet<bindings::Done>,
    /// What the list that is being read has shown so far, by kind.
    listed: HashMap<&'static str, HashSet<Arc<str>>>,
    /// Kinds that were not listed once: before that, "no node" means nothing.
    unknown: HashSet<&'static str>,
    turn: usize,
}

impl Scheduler {
    fn new(config: Config, client: Client, events: &Arc<Events>) -> Self {
        let names = config.profiles.iter().map(|profile| profile.name.as_str());
        Self {
            reports: Reports::new(events, names),
            metrics: crate::metrics::tell(),
            conditions: Conditions::new(client.clone(), Instant::now()),
            profiles: config.profiles.into_iter().map(Arc::new).collect(),
            client,
            cluster: Cluster::default(),
            templates: Templates::default(),
            budgets: Budgets::default(),
            nominations: Nominations::default(),
            queue: Queue::new(config.back_off),
            volumes: Volumes::default(),
            tasks: JoinSet::new(),
            listed: HashMap::new(),
            unknown: watches::KINDS.into_iter().collect(),
            turn: 0,
        }
    }

    fn profile(&self, name: &str) -> Option<Arc<Profile>> {
        let mut profiles = self.profiles.iter();
        profiles.find(|profile| profile.name == name).cloned()
    }

    /// Decides on pods for a while; true while more are ready.
    fn schedule_batch(&mut self) -> bool {
        if !self.unknown.is_empty() {
            return false;
        }
        let mut now = Instant::now();
        let end = now + BATCH;
        while now < end {
            if self.tasks.len() >= MOST_TASKS {
                return false;
            }
            let Some(pod) = self.queue.pop(now) else {
                return false;
            };
            self.schedule(&pod);
            now = Instant::now();
        }
        true
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

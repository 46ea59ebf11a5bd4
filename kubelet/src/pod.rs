//! One pod on this node: a task that owns everything of it.
//!
//! The task sleeps until it is told something ([`Message`]) or a time comes
//! that it waits for (a back-off, a deadline). Then it brings what it knows up
//! to date, asks [`plan`](crate::plan) what to do, and does it. Whatever takes
//! long (pulling, hooks, probes, stopping) is a task of its own that reports
//! back, so a pod can always be deleted.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodSpec, PodStatus};
use runtime::Sandbox;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::agent::Agent;
use crate::clock::{self, after};
use crate::dirs::PodDirs;
use crate::objects::{TokenCache, Watched};
use crate::plan::{Outcome, Step, plan};
use crate::pod_events::Level;
use crate::qos_cgroups;
use crate::record::{Record, records_of};
use crate::status::Failure;
use crate::volumes::Volumes;
use crate::{metrics, traced};

mod containers;
mod content;
mod end;
mod evict;
mod hooks;
mod host_ports;
mod image;
mod launch;
pub mod message;
mod publish;
mod recover;
pub mod set_up;
mod stop;
mod termination;

pub use launch::describe;
use message::{Evicted, Message};
use publish::Publisher;

/// How far a pod is on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Volumes, namespaces and address are being made; then `Running`.
    SettingUp,
    /// Containers are started and restarted; ends in `Stopping`.
    Running,
    /// Nothing is started any more, what runs is told to stop; then `Ending`.
    Stopping,
    /// Nothing runs; the last status is being written, then all is torn down.
    Ending,
    /// Nothing is left but the API object and logs; waits for the deletion.
    Ended,
    /// The object is gone; the task ends.
    Gone,
}

/// A task that is stopped when its owner lets go of it.
pub(crate) struct Owned(JoinHandle<()>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// When a pod began, which may be long before this process, or before the machine was started.
#[derive(Clone, Copy, Debug)]
struct Begun {
    age: Duration,
    seen: Instant,
}

impl Begun {
    fn at(start: Timestamp) -> Self {
        Self {
            age: clock::age(start),
            seen: Instant::now(),
        }
    }

    /// When the pod has been there for `longest`.
    fn deadline(&self, longest: Duration) -> Instant {
        after(self.seen, longest.saturating_sub(self.age))
    }
}

/// The tasks around one run of a container.
#[derive(Default)]
struct Helpers {
    probes: Vec<Owned>,
    hook: Option<Owned>,
    stopper: Option<Owned>,
}

/// The pod's task.
pub struct Worker {
    agent: Arc<Agent>,
    uid: String,
    pod: Arc<Pod>,
    dirs: PodDirs,
    inbox: mpsc::UnboundedReceiver<Message>,
    sender: mpsc::UnboundedSender<Message>,
    stage: Stage,
    records: Vec<Record>,
    /// By container name; gone when the run ends.
    helpers: HashMap<String, Helpers>,
    /// Ends that were told before their start was.
    early_exits: HashMap<String, runtime::Exit>,
    failure: Option<Failure>,
    /// The last word on the pod is said: its status stays as it is.
    frozen: bool,
    /// The object is gone from the API: no status, no deletion.
    removed: bool,
    sandbox: Option<Sandbox>,
    ip: Option<IpAddr>,
    volumes: Arc<Volumes>,
    tokens: Arc<TokenCache>,
    watched: Vec<(Arc<Watched>, Owned)>,
    token_timer: Option<Owned>,
    host_ports: Vec<Owned>,
    refresh: content::Refresh,
    setting_up: Option<Owned>,
    set_up_retry: Option<Instant>,
    set_up_delay: Duration,
    ending: Option<Owned>,
    /// A deleted pod's object is not removed before this time.
    linger_until: Option<Instant>,
    launches: HashMap<String, Owned>,
    listener: Option<Owned>,
    start_time: Timestamp,
    /// When that was, by the clock that deadlines count by.
    begun: Begun,
    status: PodStatus,
    publisher: Publisher,
    /// The grace that running stops were given.
    stop_grace: Option<Duration>,
    /// The machine stops: how long containers have.
    machine_stops: Option<Duration>,
    /// The pod has to go; kept until it is gone.
    evicted: Option<Evicted>,
}

/// Where a pod's task is told what happens.
pub type Sender = mpsc::UnboundedSender<Message>;

/// Starts the task of `pod`; `found` is what an agent before this one left.
///
/// # Errors
/// The pod's names cannot be those of directories.
pub fn spawn(
    agent: Arc<Agent>,
    pod: Arc<Pod>,
    found: Option<Sandbox>,
) -> io::Result<(Sender, JoinHandle<()>)> {
    let dirs = agent.dirs(&pod)?;
    let (sender, inbox) = mpsc::unbounded_channel();
    let worker = Worker::new(agent, pod, dirs, sender.clone(), inbox);
    let task = tokio::spawn(worker.run(found));
    Ok((sender, task))
}

impl Worker {
    fn new(
        agent: Arc<Agent>,
        pod: Arc<Pod>,
        dirs: PodDirs,
        sender: Sender,
        inbox: mpsc::UnboundedReceiver<Message>,
    ) -> Self {
        let status = pod.status.clone().unwrap_or_default();
        let start_time = status.start_time.as_ref();
        let start_time = start_time.map_or_else(Timestamp::now, |time| time.0);
        Self {
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            dirs,
            records: records_of(&pod),
            publisher: Publisher::start(agent.client.clone(), &pod, sender.clone()),
            start_time,
            begun: Begun::at(start_time),
            agent,
            pod,
            inbox,
            sender,
            stage: Stage::SettingUp,
            helpers: HashMap::new(),
            early_exits: HashMap::new(),
            failure: None,
            frozen: false,
            removed: false,
            sandbox: None,
            ip: None,
            volumes: Arc::default(),
            tokens: Arc::default(),
            watched: Vec::new(),
            token_timer: None,
            host_ports: Vec::new(),
            refresh: content::Refresh::default(),
            setting_up: None,
            set_up_retry: None,
            set_up_delay: Duration::ZERO,
            ending: None,
            linger_until: None,
            launches: HashMap::new(),
            listener: None,
            status,
            stop_grace: None,
            machine_stops: None,
            evicted: None,
        }
    }

    async fn run(mut self, found: Option<Sandbox>) {
        self.begin(found).await;
        loop {
            let wake = self.advance();
            if self.stage == Stage::Gone {
                break;
            }
            let shutdown = self.agent.shutdown.clone();
            tokio::select! {
                message = self.inbox.recv() => {
                    let Some(message) = message else { break };
                    self.handle(message).await;
                }
                () = sleep_until(wake) => {}
                () = shutdown.cancelled() => return,
            }
            while let Ok(message) = self.inbox.try_recv() {
                self.handle(message).await;
            }
        }
        self.agent.pods.remove(&self.uid);
        self.agent.ledger.release(&self.uid);
    }

    fn spec(&self) -> PodSpec {
        self.pod.spec.clone().unwrap_or_default()
    }

    fn record(&mut self, name: &str) -> Option<&mut Record> {
        self.records.iter_mut().find(|record| record.name == name)
    }

    fn record_of_run(&mut self, id: &str) -> Option<&mut Record> {
        self.records
            .iter_mut()
            .find(|record| record.running().is_some_and(|running| running.id == id))
    }

    /// Sends what a task of this pod reports; a pod that is gone needs none.
    fn tell(sender: &Sender, message: Message) {
        let _ = sender.send(message);
    }

    async fn handle(&mut self, message: Message) {
        match message {
            Message::Changed(pod) => self.changed(pod),
            Message::Removed => self.removed = true,
            Message::SetUp(Ok(up)) => self.is_up(*up),
            Message::SetUp(Err(problem)) => self.set_up_failed(&problem),
            Message::Launched { name, what } => self.launched(&name, what).await,
            Message::Exited { id, exit } => self.exited(&id, exit).await,
            Message::SandboxLost => self.sandbox_lost().await,
            Message::Probed { id, kind, verdict } => self.probed(&id, kind, verdict),
            Message::Started { id, failed } => self.hook_done(&id, failed),
            Message::ContentChanged => self.refresh_content(),
            Message::ContentRefreshed => self.content_refreshed(),
            Message::Published(number) => self.published(number),
            Message::MachineStops(grace) => self.machine_stops = Some(grace),
            Message::Evict(evicted) => self.evict(*evicted),
            Message::Reclaim(done) => self.reclaim(done),
            Message::TornDown => self.torn_down(),
            Message::DeleteFailed => self.ending = None,
        }
    }

    fn changed(&mut self, pod: Arc<Pod>) {
        let names: Vec<String> = self
            .records
            .iter()
            .map(|record| record.name.clone())
            .collect();
        let metadata = |pod: &Pod| {
            (
                pod.metadata.labels.clone(),
                pod.metadata.annotations.clone(),
            )
        };
        let is_relabelled = metadata(&self.pod) != metadata(&pod);
        self.pod = pod;
        if is_relabelled && self.stage == Stage::Running {
            // The downward API shows them.
            Self::tell(&self.sender, Message::ContentChanged);
        }
        // Only ephemeral containers can be added, and only images changed.
        for record in records_of(&self.pod) {
            match self.record(&record.name) {
                Some(known) if known.running().is_none() => known.image = record.image,
                Some(known) if known.image != record.image => self.image_changed(&record),
                Some(_) => {}
                None if !names.contains(&record.name) => self.records.push(record),
                None => {}
            }
        }
    }

    /// Whether the pod is to go, by deletion or because it failed as a whole.
    fn is_condemned(&self) -> bool {
        self.removed || self.failure.is_some() || self.pod.metadata.deletion_timestamp.is_some()
    }

    /// Does all that can be done now; returns when there may be more.
    fn advance(&mut self) -> Option<Instant> {
        let now = Instant::now();
        self.check_deadline(now);
        if self.is_condemned() && matches!(self.stage, Stage::SettingUp | Stage::Running) {
            self.stage = Stage::Stopping;
        }
        let wake = match self.stage {
            Stage::SettingUp | Stage::Running if self.machine_stops.is_some() => self.rest(),
            Stage::SettingUp => self.set_up(now),
            Stage::Running => self.keep_running(now),
            Stage::Stopping => self.keep_stopping(),
            Stage::Ending | Stage::Ended | Stage::Gone => self.keep_ending(now),
        };
        self.publish(Timestamp::now());
        wake.into_iter().chain(self.deadline()).min()
    }

    fn deadline(&self) -> Option<Instant> {
        let seconds = self.pod.spec.as_ref()?.active_deadline_seconds?;
        let live = matches!(self.stage, Stage::SettingUp | Stage::Running);
        live.then(|| {
            self.begun
                .deadline(Duration::from_secs(seconds.max(0) as u64))
        })
    }

    fn check_deadline(&mut self, now: Instant) {
        if self.failure.is_none() && self.deadline().is_some_and(|deadline| deadline <= now) {
            let message = "Pod was active on the node longer than the specified deadline";
            self.agent
                .events
                .pod(&self.pod, Level::Normal, "DeadlineExceeded", message);
            self.failure = Some(Failure {
                reason: "DeadlineExceeded".to_owned(),
                message: message.to_owned(),
            });
        }
    }

    /// Starts making the pod's surroundings, unless that is under way.
    fn set_up(&mut self, now: Instant) -> Option<Instant> {
        if self.setting_up.is_some() {
            return None;
        }
        if let Some(retry) = self.set_up_retry.filter(|retry| *retry > now) {
            return Some(retry);
        }
        let (agent, pod, tokens, sender) = (
            self.agent.clone(),
            self.pod.clone(),
            self.tokens.clone(),
            self.sender.clone(),
        );
        let found = self.sandbox.clone();
        self.setting_up = Some(Owned(tokio::spawn(async move {
            let span = traced::stage(&pod, "pod sandbox");
            let making = set_up::set_up(&agent, &pod, &tokens, found);
            let made = traces::within(span.as_ref(), making).await;
            metrics::set_up(made.is_ok());
            if let (Some(span), Err(problem)) = (&span, &made) {
                span.fail(format!("{problem:?}"));
            }
            drop(span);
            Self::tell(&sender, Message::SetUp(made.map(Box::new)));
        })));
        None
    }

    fn is_up(&mut self, up: message::Up) {
        self.setting_up = None;
        if matches!(self.stage, Stage::Ending | Stage::Ended | Stage::Gone) {
            return; // Too late; what ends the pod finds it.
        }
        qos_cgroups::share(
            &self.agent.config.cgroup_root,
            self.agent.ledger.burstable_cpu(),
        );
        self.volumes = Arc::new(up.volumes);
        self.ip = Some(up.ip);
        if self.sandbox.is_none() {
            self.listen(&up.sandbox);
        }
        self.sandbox = Some(up.sandbox);
        self.open_host_ports();
        if self.stage == Stage::SettingUp {
            self.stage = Stage::Running;
            self.watch_content();
        }
    }

    fn set_up_failed(&mut self, problem: &set_up::Problem) {
        self.setting_up = None;
        let (reason, message) = match problem {
            set_up::Problem::Volume(problem) => (
                "FailedMount",
                format!(
                    "MountVolume.SetUp failed for volume {:?} : {}",
                    problem.volume, problem.message
                ),
            ),
            set_up::Problem::Sandbox(message) => (
                "FailedCreatePodSandBox",
                format!("Failed to create pod sandbox: {message}"),
            ),
        };
        self.agent
            .events
            .pod(&self.pod, Level::Warning, reason, message);
        // As Kubernetes retries mounts: 0.5 s, doubled up to 2 min 2 s.
        let delay =
            (self.set_up_delay * 2).clamp(Duration::from_millis(500), Duration::from_secs(122));
        self.set_up_delay = delay;
        self.set_up_retry = Some(after(Instant::now(), delay));
    }

    fn keep_running(&mut self, now: Instant) -> Option<Instant> {
        loop {
            let plan = plan(&self.records, now);
            if let Some(outcome) = plan.outcome {
                self.come_to_an_end(outcome);
                return None;
            }
            let mut again = false;
            for step in plan.steps {
                again |= matches!(step, Step::BackOff { .. });
                self.take(step, now);
            }
            // A container that now backs off no longer holds up the next one.
            if !again {
                return plan.wake;
            }
        }
    }

    fn take(&mut self, step: Step, now: Instant) {
        match step {
            Step::Start(name) => self.launch(&name, now),
            Step::BackOff { name, until, delay } => self.back_off(&name, until, delay),
            Step::Stop(name) => self.stop_container(&name, self.grace(), None),
        }
    }

    fn come_to_an_end(&mut self, outcome: Outcome) {
        tracing::debug!(pod = %describe(&self.pod), ?outcome, "all containers are done");
        self.stage = Stage::Stopping;
        self.keep_stopping();
    }
}

/// Sleeps until `time`; for ever if there is none.
async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pods_deadline_counts_what_it_lived_before_and_then_by_the_steady_clock() {
        let begun = Begun {
            age: Duration::from_secs(50),
            seen: Instant::now(),
        };
        let left = |seconds| begun.deadline(Duration::from_secs(seconds)) - begun.seen;
        assert_eq!(left(60), Duration::from_secs(10));
        assert_eq!(left(40), Duration::ZERO);
        // Begun in what is the future by a clock that was set back.
        let ahead = Begun::at(Timestamp::MAX);
        assert_eq!(ahead.age, Duration::ZERO);
    }
}

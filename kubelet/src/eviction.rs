//! Node-pressure eviction: pods end before the node does.
//!
//! A look at the node every ten seconds. What it is short of is told by its conditions
//! ([`Pressure`]), and pods that would make it worse are not let in. Then what nobody uses goes: ended
//! containers, images. If that was not enough, one pod goes, then there is another look.
//! Pods that use more disk than their limits say go as well. Nothing is measured of pods before
//! it is needed, so a node that has plenty costs a look at it and no more.
//! See <https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/>.

use std::sync::Arc;
use std::time::Duration;

use events::Level;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use crate::agent::{Agent, PodView};
use crate::machine_stop::CRITICAL;
use crate::pod::message::{Evicted, Message};

mod disk_use;
mod flags;
mod judge;
mod limits;
mod message;
mod observe;
mod rank;
mod signal;
mod usage;

pub use flags::{DEFAULT_HARD, Eviction, GracePeriods, MinimumReclaim, Thresholds};
use judge::{Judge, Rule, Stocks, Verdict};
pub use message::of_admission;
pub use observe::Places;
use rank::Standing;
use signal::{Resource, Signal};
use usage::Usage;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(10);
/// Looking at pods' files may take so small a part of the time.
const SHARE_OF_LOOKING: u32 = 20;
const LONGEST_INTERVAL: Duration = Duration::from_secs(300);
/// How long what a pod had is waited for before another one goes.
const CLEANUP: Duration = Duration::from_secs(30);
/// What containers have to end when there is no time.
const AT_ONCE: Duration = Duration::from_secs(1);
/// The reason of evicted pods, and of those that are not let in.
pub const REASON: &str = "Evicted";

/// What a node is short of.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Pressure {
    pub memory: bool,
    pub disk: bool,
    pub processes: bool,
}

impl Pressure {
    /// The node's conditions that tell it.
    pub fn conditions(&self) -> Vec<&'static str> {
        let all = [
            (self.memory, "MemoryPressure"),
            (self.disk, "DiskPressure"),
            (self.processes, "PIDPressure"),
        ];
        let there = all.into_iter().filter(|(is_there, _)| *is_there);
        there.map(|(_, name)| name).collect()
    }
}

/// Looks at the node, and does something about it.
pub struct Evictor {
    flags: Eviction,
    places: Places,
    judge: Judge,
    pressure: watch::Sender<Pressure>,
}

/// A pod that may have to go.
struct Candidate {
    view: Arc<PodView>,
    usage: Option<Usage>,
}

impl Evictor {
    /// With a first look, so that the node says from the start what it is short of.
    pub fn new(flags: Eviction, places: Places) -> Self {
        let mut evictor = Self {
            judge: Judge::new(flags.rules(), flags.transition),
            flags,
            places,
            pressure: watch::Sender::default(),
        };
        evictor.look();
        evictor
    }

    pub fn pressure(&self) -> watch::Receiver<Pressure> {
        self.pressure.subscribe()
    }

    /// Goes on for ever.
    pub async fn run(mut self, agent: Arc<Agent>) {
        let mut pause = INTERVAL;
        loop {
            sleep(pause).await;
            let begun = Instant::now();
            pause = match self.round(&agent).await {
                Some(mut gone) => {
                    // An error is a pod that does not go: there is no time to wait for it.
                    let _ = timeout(CLEANUP, gone.recv()).await;
                    Duration::ZERO
                }
                None => (begun.elapsed() * SHARE_OF_LOOKING).clamp(INTERVAL, LONGEST_INTERVAL),
            };
        }
    }

    /// Tells by its end when what went has cleaned up; none if nothing went.
    async fn round(&mut self, agent: &Arc<Agent>) -> Option<mpsc::Receiver<()>> {
        let (stocks, verdict) = self.look();
        let (done, gone) = mpsc::channel(1);
        let over = self.evict_over_limits(agent, &done).await;
        if over || self.relieve(agent, &stocks, &verdict, &done).await {
            return Some(gone);
        }
        None
    }

    fn look(&mut self) -> (Stocks, Verdict) {
        if !self.judge.has_rules() {
            return Default::default();
        }
        let stocks = self.places.look();
        let verdict = self.judge.judge(&stocks, Instant::now());
        let told = verdict.pressure.clone();
        self.pressure.send_if_modified(|pressure| {
            let is_news = *pressure != told;
            *pressure = told;
            is_news
        });
        (stocks, verdict)
    }

    async fn evict_over_limits(&self, agent: &Arc<Agent>, done: &mpsc::Sender<()>) -> bool {
        let mut any = false;
        for view in agent.pods.all() {
            let Some(spec) = view.pod.spec.as_ref().filter(|s| limits::has_limits(s)) else {
                continue;
            };
            if !may_go(&view) {
                continue;
            }
            let Ok(dirs) = agent.dirs(&view.pod) else {
                continue;
            };
            let used = usage::disk(view.pod.clone(), dirs).await;
            if let Some(message) = used.and_then(|used| limits::exceeded(spec, &used)) {
                evict(agent, &view, evicted(message, AT_ONCE, false, done));
                any = true;
            }
        }
        any
    }

    /// Does something about what is most urgent; true if a pod has to go.
    async fn relieve(
        &self,
        agent: &Arc<Agent>,
        stocks: &Stocks,
        verdict: &Verdict,
        done: &mpsc::Sender<()>,
    ) -> bool {
        let Some(rule) = verdict.due.first() else {
            return false;
        };
        let resource = rule.signal.resource();
        let name = rule.signal.name();
        tracing::warn!(signal = name, "this node is short of {}", resource.name());
        let attempt = format!("Attempting to reclaim {}", resource.name());
        agent
            .node_events
            .tell(Level::Warning, "EvictionThresholdMet", attempt);
        self.reclaim(agent, rule.signal).await;
        let stocks = match resource {
            Resource::Disk | Resource::Inodes => &self.places.look(),
            _ => stocks,
        };
        if !rule.is_unresolved(stocks) {
            return false;
        }
        let mut candidates = candidates(agent, resource).await;
        rank::rank(resource, &mut candidates, |pod| pod.standing(resource));
        let Some(first) = candidates.into_iter().next() else {
            tracing::warn!(signal = name, "this node is short, and no pod may go");
            return false;
        };
        let empty = PodSpec::default();
        let spec = first.view.pod.spec.as_ref().unwrap_or(&empty);
        let message = message::of_pressure(rule, stocks, spec, first.usage.as_ref());
        let grace = self.grace(rule, spec);
        evict(agent, &first.view, evicted(message, grace, true, done));
        true
    }

    /// Makes room of what nobody uses.
    async fn reclaim(&self, agent: &Arc<Agent>, signal: Signal) {
        let is_shared = self.places.share_a_disk();
        let (containers, images) = match signal {
            Signal::NodeFs | Signal::NodeFsInodes => (true, is_shared),
            Signal::ImageFs | Signal::ImageFsInodes => (is_shared, true),
            Signal::Memory | Signal::Processes => (false, false),
        };
        if containers {
            remove_ended_containers(agent).await;
        }
        if images {
            agent.image_garbage.remove_unused().await;
        }
    }

    /// How long a pod has to end: no time if the node has none.
    fn grace(&self, rule: &Rule, spec: &PodSpec) -> Duration {
        if rule.grace.is_none() {
            return AT_ONCE;
        }
        let own = spec.termination_grace_period_seconds.unwrap_or(30);
        let own = Duration::from_secs(u64::try_from(own).unwrap_or(0));
        self.flags.max_pod_grace.min(own)
    }
}

impl Candidate {
    fn standing(&self, resource: Resource) -> Standing {
        let spec = self.view.pod.spec.as_ref();
        Standing {
            priority: spec.and_then(|spec| spec.priority).unwrap_or(0),
            request: spec.map_or(0, |spec| usage::request(spec, resource)),
            usage: self.usage.as_ref().map(|usage| usage.total),
        }
    }
}

async fn candidates(agent: &Arc<Agent>, resource: Resource) -> Vec<Candidate> {
    let mut found = Vec::new();
    for view in agent.pods.all().into_iter().filter(|view| may_go(view)) {
        let dirs = agent.dirs(&view.pod).ok();
        let usage = usage::of(&view, dirs, resource).await;
        found.push(Candidate { view, usage });
    }
    found
}

/// Whether the pod holds anything, and the node can do without it.
fn may_go(view: &PodView) -> bool {
    let is_over = matches!(view.status.phase.as_deref(), Some("Succeeded" | "Failed"));
    let is_going = view.status.reason.as_deref() == Some(REASON);
    view.sandbox.is_some() && !is_over && !is_going && !is_critical(&view.pod)
}

/// Others depend on it, or nobody would bring it back.
pub fn is_critical(pod: &Pod) -> bool {
    const MIRROR: &str = "kubernetes.io/config.mirror";
    let annotations = pod.metadata.annotations.as_ref();
    let is_static = annotations.is_some_and(|notes| notes.contains_key(MIRROR));
    let priority = pod.spec.as_ref().and_then(|spec| spec.priority);
    is_static || priority.is_some_and(|priority| priority >= CRITICAL)
}

fn evicted(
    message: String,
    grace: Duration,
    is_disruption: bool,
    done: &mpsc::Sender<()>,
) -> Evicted {
    Evicted {
        message,
        grace,
        is_disruption,
        _done: done.clone(),
    }
}

fn evict(agent: &Agent, view: &PodView, evicted: Evicted) {
    let message = evicted.message.clone();
    tracing::warn!(pod = view.pod.metadata.name, "evict a pod: {message}");
    agent.events.pod(&view.pod, Level::Warning, REASON, message);
    // A task that has ended has nothing to lose.
    let _ = view.task.send(Message::Evict(Box::new(evicted)));
}

/// Has every pod remove what is left of containers that have ended.
async fn remove_ended_containers(agent: &Agent) {
    let (done, mut removed) = mpsc::channel(1);
    for view in agent.pods.all() {
        let _ = view.task.send(Message::Reclaim(done.clone()));
    }
    drop(done);
    // Those that take longer do so beside what comes next.
    let _ = timeout(CLEANUP, removed.recv()).await;
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(value: Value) -> Pod {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn critical_and_static_pods_are_spared() {
        let of_priority =
            |priority: i32| pod(json!({ "spec": { "containers": [], "priority": priority } }));
        assert!(is_critical(&of_priority(2_000_000_000)));
        assert!(!is_critical(&of_priority(1_999_999_999)));
        let mirror =
            json!({ "metadata": { "annotations": { "kubernetes.io/config.mirror": "x" } } });
        assert!(is_critical(&pod(mirror)));
        assert!(!is_critical(&pod(json!({}))));
    }

    #[test]
    fn a_pod_has_time_to_end_under_a_soft_threshold_only() {
        let flags = Eviction {
            hard: "memory.available<1Mi".parse().unwrap(),
            soft: "memory.available<2Mi".parse().unwrap(),
            max_pod_grace: Duration::from_secs(60),
            ..Eviction::default()
        };
        let places = Places {
            node: "/".into(),
            images: "/".into(),
        };
        let rules = flags.rules();
        let evictor = Evictor::new(flags, places);
        let grace = |rule: &Rule, own: Option<i64>| {
            let spec = PodSpec {
                termination_grace_period_seconds: own,
                ..PodSpec::default()
            };
            evictor.grace(rule, &spec).as_secs()
        };
        assert_eq!(grace(&rules[0], Some(600)), 1);
        assert_eq!(grace(&rules[1], Some(600)), 60);
        assert_eq!(grace(&rules[1], Some(5)), 5);
        assert_eq!(grace(&rules[1], None), 30);
    }
}

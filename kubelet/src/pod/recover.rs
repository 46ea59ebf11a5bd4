//! How a pod's task begins: with a new pod, or with what an agent before this
//! one left running.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerState as ApiState, ContainerStatus, PodStatus};
use runtime::{ContainerState, Sandbox, Status};
use tokio::time::Instant;

use super::containers::exit_of;
use super::{Stage as PodStage, Worker, termination};
use crate::admission::{NodeFacts, may_press};
use crate::clock::{after, since};
use crate::plan::plan;
use crate::pod_events::Level;
use crate::record::{Exit, Next, Record, Role, Running, Stage, State, Waiting, find_container};
use crate::status::{Failure, of_refused};

impl Worker {
    pub(super) async fn begin(&mut self, found: Option<Sandbox>) {
        if is_over(&self.status) {
            // Whatever is left of it goes; nothing of it is started again.
            self.sandbox = found;
            self.frozen = true;
            self.stage = PodStage::Ending;
            return;
        }
        let before = self.status.clone();
        restore(&mut self.records, &before);
        self.remember_eviction();
        match found {
            Some(sandbox) if sandbox.is_live() => self.adopt(sandbox).await,
            Some(sandbox) => self.bury(sandbox).await,
            None if self.pod.metadata.deletion_timestamp.is_some() => {}
            None if self.failure.is_some() => {}
            None => {
                self.start_over();
                self.admit();
            }
        }
    }

    /// Takes over a pod whose containers have gone on running meanwhile.
    async fn adopt(&mut self, sandbox: Sandbox) {
        self.agent.ledger.note(&self.uid, &self.spec());
        self.listen(&sandbox);
        self.ip = self.status.pod_ip.as_ref().and_then(|ip| ip.parse().ok());
        let states = sandbox.list().await;
        self.sandbox = Some(sandbox);
        match states {
            Ok(states) => self.adopt_containers(states).await,
            Err(e) => tracing::warn!(
                pod = self.uid,
                "list the containers left by an agent before this one: {e}"
            ),
        }
    }

    async fn adopt_containers(&mut self, mut states: Vec<ContainerState>) {
        states.sort_by_key(|state| (label(state, "name").to_owned(), attempt_of(state)));
        for state in &states {
            self.adopt_container(state).await;
        }
        let up: Vec<String> = self
            .records
            .iter()
            .filter(|r| r.running().is_some())
            .map(|r| r.name.clone())
            .collect();
        for name in up {
            self.start_probes(&name);
        }
    }

    async fn adopt_container(&mut self, state: &ContainerState) {
        let (name, attempt) = (label(state, "name").to_owned(), attempt_of(state));
        let container = find_container(&self.spec(), &name).unwrap_or_default();
        let exit = match &state.status {
            Status::Exited(exit) => {
                let message =
                    termination::message(&self.dirs, &container, attempt, exit.code).await;
                Some(exit_of(state.id.as_str(), exit, message))
            }
            Status::Lost(started) => Some(lost(state.id.as_str(), Some(started.started_at))),
            Status::Running(_) => None,
        };
        let Some(record) = self.record(&name) else {
            return;
        };
        if record.ran && record.restarts > attempt {
            return; // An older run; the status has told of it.
        }
        let known = is_known(record, state.id.as_str());
        (record.ran, record.begun, record.restarts) = (true, true, attempt);
        record.image_id = label(state, "image-id").to_owned();
        match (&state.status, exit) {
            (Status::Running(started), _) => {
                let (id, started_at) = (state.id.to_string(), started.started_at);
                record.started = container.startup_probe.is_none() || known && record.started;
                record.ready =
                    record.started && container.readiness_probe.is_none() || known && record.ready;
                record.state = State::Running(Running {
                    id,
                    started_at,
                    since: since(started_at),
                    stage: Stage::Up,
                });
            }
            (_, Some(exit)) => {
                (record.started, record.ready) = (false, false);
                record.state = State::Exited(exit);
            }
            (_, None) => {}
        }
        if matches!(state.status, Status::Exited(_)) {
            self.acknowledge(state.id.as_str()).await;
        }
    }

    /// The pod's monitor is dead, and all containers with it.
    async fn bury(&mut self, sandbox: Sandbox) {
        self.agent.ledger.note(&self.uid, &self.spec());
        if let Ok(states) = sandbox.list().await {
            self.adopt_containers(states).await;
        }
        self.lose_containers();
        self.helpers.clear();
        self.start_over();
        if let Err(e) = sandbox.destroy().await {
            tracing::warn!(pod = self.uid, "remove a sandbox whose monitor died: {e}");
        }
    }

    /// The monitor died under us: what can be restarted is, in a new sandbox.
    pub(super) async fn sandbox_lost(&mut self) {
        let Some(sandbox) = self.sandbox.take() else {
            return;
        };
        self.agent.events.pod(
            &self.pod,
            Level::Normal,
            "SandboxChanged",
            "Pod sandbox changed, it will be killed and re-created.",
        );
        self.bury(sandbox).await;
        self.host_ports.clear();
        (self.listener, self.ip, self.setting_up) = (None, None, None);
        self.launches.clear();
        if self.stage == PodStage::Running {
            self.stage = PodStage::SettingUp;
        }
    }

    /// In a new sandbox, a pod that goes on does so from its first init container.
    fn start_over(&mut self) {
        if plan(&self.records, Instant::now()).outcome.is_some() {
            return;
        }
        for record in &mut self.records {
            record.begun = false;
            if record.role == Role::Init && record.exit().is_some() {
                record.wait(Waiting::default());
            }
        }
    }

    fn lose_containers(&mut self) {
        for record in &mut self.records {
            match &record.state {
                State::Running(running) => {
                    record.state = State::Exited(lost(&running.id, Some(running.started_at)))
                }
                State::Waiting(waiting) if waiting.next == Next::Launch => {
                    record.wait(Waiting::default())
                }
                _ => {}
            }
            (record.started, record.ready) = (false, false);
        }
    }

    /// Asks whether the node can run the pod; one that is refused has failed.
    fn admit(&mut self) {
        let node = self.agent.node.borrow().clone();
        let empty = std::collections::BTreeMap::new();
        let pressure = self.agent.pressure.borrow().clone();
        let facts = NodeFacts {
            name: &self.agent.config.node_name,
            labels: node.metadata.labels.as_ref().unwrap_or(&empty),
            allocatable: &self.agent.allocatable,
            max_pods: self.agent.config.max_pods,
            allowed_unsafe_sysctls: &self.agent.config.allowed_unsafe_sysctls,
        };
        let spec = self.spec();
        let admitted = may_press(&self.pod, &pressure)
            .and_then(|()| self.agent.ledger.admit(&self.uid, &spec, &facts));
        let Err(refusal) = admitted else {
            return;
        };
        let message = format!("Pod was rejected: {}", refusal.message);
        self.agent
            .events
            .rejected(&self.pod, &refusal.reason, refusal.message);
        let failure = Failure {
            reason: refusal.reason,
            message,
        };
        self.status = of_refused(&failure, Timestamp::now(), self.pod.metadata.generation);
        self.publisher.give(self.status.clone());
        self.failure = Some(failure);
        self.frozen = true;
        self.stage = PodStage::Ended;
    }
}

/// Whether a pod's life is over by its own status.
fn is_over(status: &PodStatus) -> bool {
    matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"))
}

fn label<'s>(state: &'s ContainerState, key: &str) -> &'s str {
    state
        .labels
        .get(key)
        .map(String::as_str)
        .unwrap_or_default()
}

fn attempt_of(state: &ContainerState) -> u32 {
    label(state, "attempt").parse().unwrap_or(0)
}

/// Whether what the status says is about this very run.
fn is_known(record: &Record, id: &str) -> bool {
    match &record.state {
        State::Exited(exit) => exit.id == id,
        State::Running(running) => running.id == id,
        State::Waiting(_) => false,
    }
}

/// A run nobody saw the end of.
fn lost(id: &str, started_at: Option<Timestamp>) -> Exit {
    Exit {
        id: id.to_owned(),
        code: 137,
        reason: "ContainerStatusUnknown".to_owned(),
        message: Some("The container could not be located when the pod was terminated".to_owned()),
        started_at,
        finished_at: Timestamp::now(),
        seen: Instant::now(),
    }
}

/// Brings back what the status tells of earlier runs. One that it shows running
/// counts as lost until the runtime says otherwise.
fn restore(records: &mut [Record], status: &PodStatus) {
    let lists = [
        &status.init_container_statuses,
        &status.container_statuses,
        &status.ephemeral_container_statuses,
    ];
    for known in lists.into_iter().flatten().flatten() {
        if let Some(record) = records.iter_mut().find(|record| record.name == known.name) {
            restore_one(record, known);
        }
    }
}

fn restore_one(record: &mut Record, known: &ContainerStatus) {
    record.restarts = u32::try_from(known.restart_count).unwrap_or(0);
    record.image_id = known.image_id.clone();
    record.last = known.last_state.as_ref().and_then(exit_from);
    (record.started, record.ready) = (known.started.unwrap_or_default(), known.ready);
    let id = known.container_id.as_deref().unwrap_or_default();
    let id = id.rsplit_once("://").map_or(id, |(_, id)| id);
    let Some(state) = &known.state else { return };
    if let Some(exit) = exit_from(state) {
        record.state = State::Exited(exit);
    } else if let Some(running) = &state.running {
        record.state = State::Exited(lost(id, running.started_at.as_ref().map(|time| time.0)));
    } else if let Some(waiting) = &state.waiting
        && record.last.is_some()
    {
        let reason = waiting.reason.clone().unwrap_or_default();
        let next = Next::Time(after(Instant::now(), Duration::from_secs(10)));
        record.state = State::Waiting(Waiting {
            reason,
            message: waiting.message.clone(),
            next,
        });
    }
    record.ran = record.last.is_some() || !matches!(record.state, State::Waiting(_));
}

fn exit_from(state: &ApiState) -> Option<Exit> {
    let ended = state.terminated.as_ref()?;
    let id = ended.container_id.as_deref().unwrap_or_default();
    Some(Exit {
        id: id.rsplit_once("://").map_or(id, |(_, id)| id).to_owned(),
        code: ended.exit_code,
        reason: ended.reason.clone().unwrap_or_default(),
        message: ended.message.clone(),
        started_at: ended.started_at.as_ref().map(|time| time.0),
        finished_at: ended
            .finished_at
            .as_ref()
            .map_or(Timestamp::UNIX_EPOCH, |time| time.0),
        seen: Instant::now(),
    })
}

//! What happens to single containers: started, started again, ended, probed.

use std::time::Duration;

use jiff::Timestamp;
use runtime::{ContainerId, Sandbox};
use tokio::time::Instant;

use super::launch::{Launch, describe};
use super::message::{Launched, Message};
use super::stop::grace_of;
use super::{Helpers, Owned, Worker, termination};
use crate::action::Target;
use crate::back_off::go_duration;
use crate::pod_events::{Level, field_of};
use crate::probe::{Kind, Prober};
use crate::record::{Exit, Next, Record, Running, Stage, State, Waiting, find_container};

impl Worker {
    /// Starts a container in a task of its own.
    pub(super) fn launch(&mut self, name: &str, now: Instant) {
        let spec = self.spec();
        let (Some(container), Some(sandbox), Some(ip)) =
            (find_container(&spec, name), self.sandbox.clone(), self.ip)
        else {
            return;
        };
        let Some(record) = self.record(name) else {
            return;
        };
        if let State::Exited(_) = &record.state {
            record.back_off.attempt(now);
        }
        let attempt = if record.ran {
            record.restarts + 1
        } else {
            record.restarts
        };
        let pull_not_before = record.pull_retry;
        let role = record.role;
        match &mut record.state {
            State::Waiting(waiting) => waiting.next = Next::Launch,
            _ => record.wait(Waiting {
                next: Next::Launch,
                ..Waiting::default()
            }),
        }
        let launch = Launch {
            agent: self.agent.clone(),
            pod: self.pod.clone(),
            container,
            role,
            attempt,
            sandbox,
            ip,
            volumes: self.volumes.clone(),
            pull_not_before,
        };
        let (sender, name) = (self.sender.clone(), name.to_owned());
        let key = name.clone();
        let task = tokio::spawn(async move {
            let what = launch.run().await;
            Self::tell(&sender, Message::Launched { name, what });
        });
        self.launches.insert(key, Owned(task));
    }

    pub(super) async fn launched(&mut self, name: &str, what: Launched) {
        self.launches.remove(name);
        match what {
            Launched::Running {
                id,
                started_at,
                image_id,
                has_hook,
            } => {
                self.runs(name, id.clone(), started_at, image_id, has_hook);
                if let Some(exit) = self.early_exits.remove(&id) {
                    self.exited(&id, exit).await;
                } else if has_hook {
                    self.start_hook(name, &id);
                } else {
                    self.is_up_and_running(name);
                }
                self.forget_old_runs(name).await;
            }
            Launched::Ended { exit, image_id } => {
                let Some(record) = self.record(name) else {
                    return;
                };
                record.begin(image_id);
                record.state = State::Exited(exit);
            }
            Launched::Not {
                reason,
                message,
                retry_at,
                pull_failed,
            } => {
                let Some(record) = self.record(name) else {
                    return;
                };
                if pull_failed {
                    let now = Instant::now();
                    record.pull_back_off.attempt(now);
                    record.pull_retry = record.pull_back_off.until(now).map(|(until, _)| until);
                }
                record.wait(Waiting {
                    reason: reason.to_owned(),
                    message: Some(message),
                    next: Next::Time(retry_at),
                });
            }
        }
    }

    fn runs(
        &mut self,
        name: &str,
        id: String,
        started_at: Timestamp,
        image_id: String,
        has_hook: bool,
    ) {
        let Some(record) = self.record(name) else {
            return;
        };
        record.begin(image_id);
        let stage = if has_hook { Stage::Hook } else { Stage::Up };
        record.state = State::Running(Running {
            id,
            started_at,
            since: Instant::now(),
            stage,
        });
        self.helpers.insert(name.to_owned(), Helpers::default());
    }

    /// A container whose hook, if any, is done: from now on probes decide.
    pub(super) fn is_up_and_running(&mut self, name: &str) {
        let Some(container) = find_container(&self.spec(), name) else {
            return;
        };
        let Some(record) = self.record(name) else {
            return;
        };
        if let State::Running(running) = &mut record.state {
            running.stage = Stage::Up;
        }
        record.started = container.startup_probe.is_none();
        record.ready = record.started && container.readiness_probe.is_none();
        self.start_probes(name);
    }

    /// Starts the probes whose time has come: the startup probe alone, then the others.
    pub(super) fn start_probes(&mut self, name: &str) {
        let Some(container) = find_container(&self.spec(), name) else {
            return;
        };
        let Some(started) = self.record(name).map(|record| record.started) else {
            return;
        };
        let kinds: &[Kind] = if started {
            &[Kind::Liveness, Kind::Readiness]
        } else {
            &[Kind::Startup]
        };
        for kind in kinds {
            if let Some(probe) = kind.of(&container).cloned() {
                self.start_probe(name, *kind, probe);
            }
        }
    }

    fn start_probe(&mut self, name: &str, kind: Kind, probe: k8s_openapi::api::core::v1::Probe) {
        let Some(target) = self.target(name) else {
            return;
        };
        let Some(record) = self.record(name) else {
            return;
        };
        let Some(running) = record.running().cloned() else {
            return;
        };
        let field = field_of(record.role, name);
        let (sender, id) = (self.sender.clone(), running.id);
        let prober = Prober {
            kind,
            probe,
            target,
            pod: self.pod.clone(),
            field,
            events: self.agent.events.clone(),
            since: running.since,
        };
        let task = tokio::spawn(prober.run(move |verdict| {
            Self::tell(
                &sender,
                Message::Probed {
                    id: id.clone(),
                    kind,
                    verdict,
                },
            );
        }));
        self.helpers
            .entry(name.to_owned())
            .or_default()
            .probes
            .push(Owned(task));
    }

    /// The running container of this name, for probes and hooks.
    pub(super) fn target(&mut self, name: &str) -> Option<Target> {
        let container = find_container(&self.spec(), name)?;
        let (sandbox, ip) = (self.sandbox.clone()?, self.ip?);
        let id = self.record(name)?.running()?.id.clone();
        Some(Target {
            sandbox,
            id: ContainerId::new(id).ok()?,
            ip,
            container,
        })
    }

    pub(super) fn probed(&mut self, id: &str, kind: Kind, verdict: bool) {
        let Some(record) = self.record_of_run(id) else {
            return;
        };
        let name = record.name.clone();
        match (kind, verdict) {
            (Kind::Readiness, verdict) => record.ready = verdict,
            (Kind::Startup, true) => {
                record.started = true;
                let has_readiness = find_container(&self.spec(), &name)
                    .is_some_and(|c| c.readiness_probe.is_some());
                if let Some(record) = self.record(&name) {
                    record.ready = !has_readiness;
                }
                self.start_probes(&name);
            }
            (Kind::Startup | Kind::Liveness, false) => self.kill_unhealthy(&name, kind),
            (Kind::Liveness, true) => {}
        }
    }

    fn kill_unhealthy(&mut self, name: &str, kind: Kind) {
        let word = if kind == Kind::Startup {
            "startup"
        } else {
            "liveness"
        };
        let container = find_container(&self.spec(), name);
        let own = container.and_then(|c| kind.of(&c)?.termination_grace_period_seconds);
        let grace = own.map_or(self.grace(), grace_of);
        let message = format!("Container {name} failed {word} probe, will be restarted");
        self.stop_container(name, grace, Some(("Killing", message)));
    }

    /// A container was given another image: it is restarted with it.
    pub(super) fn image_changed(&mut self, wanted: &Record) {
        let name = wanted.name.clone();
        if let Some(record) = self.record(&name) {
            record.image = wanted.image.clone();
        }
        let message = format!("Container {name} definition changed, will be restarted");
        self.stop_container(&name, self.grace(), Some(("Killing", message)));
    }

    pub(super) async fn exited(&mut self, id: &str, exit: runtime::Exit) {
        let Some(record) = self.record_of_run(id) else {
            if !self.launches.is_empty() {
                self.early_exits.insert(id.to_owned(), exit);
            }
            return;
        };
        let (name, attempt) = (record.name.clone(), record.restarts);
        let container = find_container(&self.spec(), &name).unwrap_or_default();
        let message = termination::message(&self.dirs, &container, attempt, exit.code).await;
        let exit = exit_of(id, &exit, message);
        if let Some(record) = self.record(&name) {
            record.state = State::Exited(exit);
            (record.started, record.ready) = (false, false);
        }
        self.helpers.remove(&name);
        self.acknowledge(id).await;
    }

    pub(super) async fn acknowledge(&self, id: &str) {
        let (Some(sandbox), Ok(id)) = (&self.sandbox, ContainerId::new(id)) else {
            return;
        };
        if let Err(e) = sandbox.acknowledge(&id).await {
            tracing::debug!("acknowledge the end of container {id}: {e}");
        }
    }

    /// A container fails too often: it waits, and says so.
    pub(super) fn back_off(&mut self, name: &str, until: Instant, delay: Duration) {
        let pod = describe(&self.pod);
        let Some(record) = self.record(name) else {
            return;
        };
        let message = format!(
            "back-off {} restarting failed container={name} pod={pod}",
            go_duration(delay)
        );
        record.wait(Waiting {
            reason: "CrashLoopBackOff".to_owned(),
            message: Some(message),
            next: Next::Time(until),
        });
        record.back_off.attempt(until);
        let field = field_of(record.role, name);
        let message = format!("Back-off restarting failed container {name} in pod {pod}");
        self.agent
            .events
            .container(&self.pod, field, Level::Warning, "BackOff", message);
    }

    /// Of every container the latest two runs are kept, for `logs --previous`.
    async fn forget_old_runs(&mut self, name: &str) {
        let (Some(sandbox), Some(record)) = (
            self.sandbox.clone(),
            self.records.iter().find(|r| r.name == name),
        ) else {
            return;
        };
        let Some(old) = record.restarts.checked_sub(2) else {
            return;
        };
        forget(&sandbox, name, old).await;
        if let Err(e) = self.dirs.remove_container(name, old) {
            tracing::warn!(container = name, "remove the files of an old run: {e}");
        }
    }

    /// Tells what happens in the sandbox.
    pub(super) fn listen(&mut self, sandbox: &Sandbox) {
        let (sandbox, sender) = (sandbox.clone(), self.sender.clone());
        self.listener = Some(Owned(tokio::spawn(async move {
            listen(sandbox, &sender).await;
            Self::tell(&sender, Message::SandboxLost);
        })));
    }
}

/// Passes events on until the monitor is gone.
async fn listen(sandbox: Sandbox, sender: &super::Sender) {
    loop {
        let mut events = match sandbox.events().await {
            Ok(events) => events,
            Err(runtime::Error::Lost { .. }) => return,
            Err(e) => {
                tracing::warn!(pod = sandbox.uid(), "listen to the monitor: {e}");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        // When it ends, the connection broke or the monitor died: connecting again tells which.
        while let Ok(runtime::Event::Exited { id, exit }) = events.next().await {
            let id = id.to_string();
            Worker::tell(sender, Message::Exited { id, exit });
        }
    }
}

async fn forget(sandbox: &Sandbox, name: &str, attempt: u32) {
    let Ok(states) = sandbox.list().await else {
        return;
    };
    let attempt = attempt.to_string();
    let is_it = |labels: &std::collections::BTreeMap<String, String>| {
        labels.get("name").map(String::as_str) == Some(name)
            && labels.get("attempt") == Some(&attempt)
    };
    for state in states.iter().filter(|state| is_it(&state.labels)) {
        if let Err(e) = sandbox.remove(&state.id).await {
            tracing::debug!("remove container {}: {e}", state.id);
        }
    }
}

/// How Kubernetes tells an end.
pub fn exit_of(id: &str, exit: &runtime::Exit, message: Option<String>) -> Exit {
    let reason = match (exit.oom_killed, exit.code) {
        (true, _) => "OOMKilled",
        (false, 0) => "Completed",
        (false, _) => "Error",
    };
    Exit {
        id: id.to_owned(),
        code: exit.code,
        reason: reason.to_owned(),
        message,
        started_at: Some(exit.started_at),
        finished_at: exit.finished_at,
        seen: Instant::now(),
    }
}

impl Record {
    /// Counts a new run.
    fn begin(&mut self, image_id: String) {
        if let State::Exited(exit) = &self.state {
            self.last = Some(exit.clone());
        }
        if self.ran {
            self.restarts += 1;
        }
        (self.ran, self.begun) = (true, true);
        self.image_id = image_id;
        (self.started, self.ready) = (false, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime_exit(code: i32, oom_killed: bool) -> runtime::Exit {
        let time = Timestamp::UNIX_EPOCH;
        runtime::Exit {
            code,
            signal: None,
            oom_killed,
            started_at: time,
            finished_at: time,
        }
    }

    #[test]
    fn ends_have_kubernetes_reasons() {
        let reason = |code, oom| exit_of("x", &runtime_exit(code, oom), None).reason;
        assert_eq!(
            (reason(0, false), reason(3, false), reason(137, true)),
            ("Completed".into(), "Error".into(), "OOMKilled".into())
        );
    }
}

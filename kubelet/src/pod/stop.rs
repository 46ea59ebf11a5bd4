//! Stopping containers: the preStop hook, then the stop signal, and when the
//! grace period is over, KILL.

use std::time::Duration;

use k8s_openapi::api::core::v1::{LifecycleHandler, Pod};
use nix::sys::signal::Signal;
use std::sync::Arc;
use tokio::time::{Instant, sleep_until, timeout};

use super::content::Refresh;
use super::{Owned, Worker, hooks};
use crate::action::Target;
use crate::pod_events::{Level, Recorder, field_of};
use crate::record::{Next, Role, Stage, State, find_container};

/// What is left for the stop signal when a hook used up all the grace.
const AFTER_HOOK: Duration = Duration::from_secs(2);

/// No grace is longer: the API allows more seconds than a clock can count.
const LONGEST_GRACE: u64 = 365 * 24 * 3600;

/// A grace period as the API gives it.
pub(super) fn grace_of(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0).min(LONGEST_GRACE))
}

/// One container on its way down.
struct Stop {
    target: Target,
    hook: Option<LifecycleHandler>,
    signal: Signal,
    grace: Duration,
    pod: Arc<Pod>,
    field: String,
    events: Recorder,
}

impl Stop {
    async fn run(self) {
        let mut end = Instant::now() + self.grace;
        if let Some(hook) = &self.hook {
            self.run_hook(hook).await;
            end = end.max(Instant::now() + AFTER_HOOK);
        }
        if !self.grace.is_zero() {
            self.send(self.signal).await;
            sleep_until(end).await;
        }
        self.send(Signal::SIGKILL).await;
    }

    async fn run_hook(&self, hook: &LifecycleHandler) {
        let failed = match timeout(self.grace, hooks::run(hook, &self.target, &self.pod)).await {
            Ok(Ok(())) => return,
            Ok(Err(message)) => message,
            Err(_) => return tracing::debug!("a preStop hook used up the grace period"),
        };
        self.events.container(
            &self.pod,
            self.field.clone(),
            Level::Warning,
            "FailedPreStopHook",
            failed,
        );
    }

    async fn send(&self, signal: Signal) {
        match self.target.sandbox.signal(&self.target.id, signal).await {
            // It ended by itself in between.
            Ok(())
            | Err(
                runtime::Error::NotRunning { .. }
                | runtime::Error::NotFound { .. }
                | runtime::Error::Lost { .. },
            ) => {}
            Err(e) => tracing::warn!(container = %self.target.id, "send {signal}: {e}"),
        }
    }
}

impl Worker {
    /// How long the pod's containers have to stop, by its spec or its deletion.
    pub(super) fn grace(&self) -> Duration {
        let spec = self
            .pod
            .spec
            .as_ref()
            .and_then(|spec| spec.termination_grace_period_seconds);
        let deletion = self.pod.metadata.deletion_grace_period_seconds;
        let seconds = deletion.or(spec).unwrap_or(30);
        // Deleted without grace still means a chance to end; as in Kubernetes, one second.
        let least = if self.removed || deletion.is_some() {
            1
        } else {
            0
        };
        grace_of(seconds.max(least))
    }

    /// Tells a running container to stop; says why, or that it stops.
    pub(super) fn stop_container(
        &mut self,
        name: &str,
        grace: Duration,
        why: Option<(&'static str, String)>,
    ) {
        let container = find_container(&self.spec(), name);
        let Some(target) = self.target(name) else {
            return;
        };
        let Some(record) = self.records.iter_mut().find(|record| record.name == name) else {
            return;
        };
        let State::Running(running) = &mut record.state else {
            return;
        };
        let again = running.stage == Stage::Stopping;
        running.stage = Stage::Stopping;
        let field = field_of(record.role, name);
        if !again {
            let (reason, message) =
                why.unwrap_or_else(|| ("Killing", format!("Stopping container {name}")));
            self.agent
                .events
                .container(&self.pod, field.clone(), Level::Normal, reason, message);
        }
        let lifecycle = container.and_then(|c| c.lifecycle);
        let signal = lifecycle
            .as_ref()
            .and_then(|l| l.stop_signal.as_deref())
            .and_then(parse_signal);
        let stop = Stop {
            target,
            // Asked again with less grace, the hook is not run again.
            hook: lifecycle
                .and_then(|l| l.pre_stop)
                .filter(|_| !again && !grace.is_zero()),
            signal: signal.unwrap_or(Signal::SIGTERM),
            grace,
            pod: self.pod.clone(),
            field,
            events: self.agent.events.clone(),
        };
        let helpers = self.helpers.entry(name.to_owned()).or_default();
        // One that stops is probed no more.
        helpers.probes.clear();
        helpers.hook = None;
        helpers.stopper = Some(Owned(tokio::spawn(stop.run())));
    }

    /// What is about to start is not started; should it be too late for that, it
    /// ends with the sandbox.
    fn abandon_launches(&mut self) {
        self.launches.clear();
        for record in &mut self.records {
            if let State::Waiting(waiting) = &mut record.state
                && waiting.next == Next::Launch
            {
                waiting.next = Next::Turn;
            }
        }
    }

    /// Stops all that runs; when nothing does, the pod's end begins.
    pub(super) fn keep_stopping(&mut self) -> Option<Instant> {
        let grace = match &self.evicted {
            Some(evicted) => self.grace().min(evicted.grace),
            None => self.grace(),
        };
        if self.stop_all(grace) {
            self.begin_end();
        }
        None
    }

    /// Stops all that runs because the machine does; the pod itself goes on when that is back.
    pub(super) fn rest(&mut self) -> Option<Instant> {
        let time = self.machine_stops.unwrap_or_default();
        self.stop_all(self.grace().min(time));
        None
    }

    /// True when nothing runs.
    fn stop_all(&mut self, grace: Duration) -> bool {
        self.setting_up = None;
        self.watched.clear();
        self.refresh = Refresh::Idle;
        self.abandon_launches();
        let shorter = self.stop_grace.is_none_or(|before| grace < before);
        self.stop_grace = Some(grace);
        let running: Vec<_> = self
            .records
            .iter()
            .filter_map(|r| Some((r.name.clone(), r.role, r.running()?.stage)))
            .collect();
        // Sidecars outlive the others, so that these can use them to the end.
        let others = running.iter().any(|(_, role, _)| *role != Role::Sidecar);
        for (name, role, stage) in &running {
            let due = *role != Role::Sidecar || !others;
            if due && (*stage != Stage::Stopping || shorter) {
                self.stop_container(name, grace, None);
            }
        }
        running.is_empty()
    }
}

/// `SIGTERM`, `TERM` or a number.
fn parse_signal(name: &str) -> Option<Signal> {
    if let Ok(number) = name.parse::<i32>() {
        return Signal::try_from(number).ok();
    }
    let full = if name.starts_with("SIG") {
        name.to_owned()
    } else {
        format!("SIG{name}")
    };
    full.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_grace_is_too_long_for_the_clock() {
        assert_eq!(grace_of(30), Duration::from_secs(30));
        assert_eq!(grace_of(-1), Duration::ZERO);
        assert!(Instant::now().checked_add(grace_of(i64::MAX)).is_some());
        assert_eq!(grace_of(i64::MAX), Duration::from_secs(LONGEST_GRACE));
    }

    #[test]
    fn signals_have_names_and_numbers() {
        assert_eq!(parse_signal("SIGQUIT"), Some(Signal::SIGQUIT));
        assert_eq!(parse_signal("TERM"), Some(Signal::SIGTERM));
        assert_eq!(parse_signal("9"), Some(Signal::SIGKILL));
        assert_eq!(parse_signal("SIGNOPE"), None);
    }
}

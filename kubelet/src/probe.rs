//! Probes: asking a container again and again whether it has started, lives,
//! and is ready.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod, Probe};
use tokio::time::Instant;

use crate::action::{self, Answer, Target};
use crate::metrics::Answers;
use crate::pod_events::{Level, Recorder};

/// What a probe is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Startup,
    Liveness,
    Readiness,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
        }
    }

    pub fn of(self, container: &Container) -> Option<&Probe> {
        match self {
            Self::Startup => container.startup_probe.as_ref(),
            Self::Liveness => container.liveness_probe.as_ref(),
            Self::Readiness => container.readiness_probe.as_ref(),
        }
    }
}

/// Counts answers up to the probe's thresholds.
#[derive(Clone, Debug)]
pub struct Tracker {
    successes_needed: i32,
    failures_needed: i32,
    verdict: Option<bool>,
    latest: Option<bool>,
    run: i32,
}

impl Tracker {
    pub fn new(probe: &Probe) -> Self {
        Self {
            successes_needed: probe.success_threshold.unwrap_or(1).max(1),
            failures_needed: probe.failure_threshold.unwrap_or(3).max(1),
            verdict: None,
            latest: None,
            run: 0,
        }
    }

    /// Notes an answer; `Some` is a verdict that differs from the one before.
    pub fn note(&mut self, success: bool) -> Option<bool> {
        self.run = if self.latest == Some(success) {
            self.run.saturating_add(1)
        } else {
            1
        };
        self.latest = Some(success);
        let needed = if success {
            self.successes_needed
        } else {
            self.failures_needed
        };
        if self.run < needed || self.verdict == Some(success) {
            return None;
        }
        self.verdict = Some(success);
        Some(success)
    }
}

/// Everything one probe's task needs.
pub struct Prober {
    pub kind: Kind,
    pub probe: Probe,
    pub target: Target,
    pub pod: std::sync::Arc<Pod>,
    /// The container's field, for events.
    pub field: String,
    pub events: Recorder,
    /// When the container was started.
    pub since: Instant,
}

impl Prober {
    /// Probes for ever, telling each change of verdict. A startup probe ends
    /// with success, startup and liveness end with failure: the container is
    /// then killed.
    pub async fn run(self, tell: impl Fn(bool)) {
        let answers = Answers::of(&self.pod, &self.target.container.name, self.kind.word());
        let mut tracker = Tracker::new(&self.probe);
        let period = seconds(self.probe.period_seconds, 10);
        let mut next = Instant::now() + self.first_delay();
        loop {
            tokio::time::sleep_until(next).await;
            let success = self.ask_once(&answers).await;
            if let Some(verdict) = tracker.note(success) {
                tell(verdict);
                if !verdict && self.kind != Kind::Readiness || verdict && self.kind == Kind::Startup
                {
                    return;
                }
            }
            next = (next + period).max(Instant::now());
        }
    }

    fn first_delay(&self) -> Duration {
        let delay =
            Duration::from_secs(self.probe.initial_delay_seconds.unwrap_or(0).max(0) as u64);
        delay.saturating_sub(self.since.elapsed())
    }

    async fn ask_once(&self, answers: &Answers) -> bool {
        let word = self.kind.word();
        let answer = self.ask().await;
        answers.count(match answer {
            Answer::Success => Some(true),
            Answer::Failure(_) => Some(false),
            Answer::Error(_) => None,
        });
        let complaint = match answer {
            Answer::Success => return true,
            Answer::Failure(output) => format!("{word} probe failed: {output}"),
            Answer::Error(message) => format!("{word} probe errored: {message}"),
        };
        self.events.container(
            &self.pod,
            self.field.clone(),
            Level::Warning,
            "Unhealthy",
            complaint,
        );
        false
    }

    async fn ask(&self) -> Answer {
        let patience = seconds(self.probe.timeout_seconds, 1);
        let (probe, target) = (&self.probe, &self.target);
        if let Some(exec) = &probe.exec {
            return action::exec(
                target,
                exec.command.as_deref().unwrap_or_default(),
                patience,
            )
            .await;
        }
        if let Some(get) = &probe.http_get {
            return action::http_get(target, get, "kube-probe/1.37", patience).await;
        }
        if let Some(socket) = &probe.tcp_socket {
            return action::tcp(target, socket.host.as_deref(), &socket.port, patience).await;
        }
        if let Some(grpc) = &probe.grpc {
            let service = grpc.service.as_deref().unwrap_or_default();
            return match u16::try_from(grpc.port) {
                Ok(port) => action::grpc(target, port, service, patience).await,
                Err(_) => Answer::Error(format!("invalid port number: {}", grpc.port)),
            };
        }
        Answer::Error("missing probe handler".to_owned())
    }
}

fn seconds(value: Option<i32>, default: u64) -> Duration {
    let value = value.and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0);
    Duration::from_secs(value.unwrap_or(default))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracker(successes: i32, failures: i32) -> Tracker {
        Tracker::new(&Probe {
            success_threshold: Some(successes),
            failure_threshold: Some(failures),
            ..Probe::default()
        })
    }

    fn verdicts(tracker: &mut Tracker, answers: &[bool]) -> Vec<Option<bool>> {
        answers.iter().map(|answer| tracker.note(*answer)).collect()
    }

    #[test]
    fn failures_count_only_in_a_row() {
        let mut tracker = tracker(1, 2);
        let seen = verdicts(&mut tracker, &[true, false, true, false, false]);
        assert_eq!(seen, [Some(true), None, None, None, Some(false)]);
    }

    #[test]
    fn success_needs_its_threshold_too() {
        let mut tracker = tracker(2, 1);
        assert_eq!(
            verdicts(&mut tracker, &[true, true, false, true]),
            [None, Some(true), Some(false), None]
        );
    }

    #[test]
    fn the_same_verdict_is_told_once() {
        let mut tracker = tracker(1, 3);
        assert_eq!(verdicts(&mut tracker, &[true, true]), [Some(true), None]);
    }
}

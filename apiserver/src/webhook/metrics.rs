//! What is counted about calls to webhooks, under Kubernetes' names.

use std::time::Duration;

use metrics::{Collect as _, Counter, Family, Histogram, Text};

/// Upper bounds of the latency buckets, in seconds.
const BUCKETS: &[f64] = &[0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Mutating,
    Validating,
}

impl Stage {
    /// `admit` and `validating`: what Kubernetes' label `type` says.
    pub fn label(self) -> &'static str {
        match self {
            Self::Mutating => "admit",
            Self::Validating => "validating",
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Mutating => "mutating",
            Self::Validating => "validating",
        }
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Allowed,
    /// The webhook's no, with its code.
    Denied(u16),
    /// No answer; and whether the write went on all the same.
    Failed {
        open: bool,
    },
}

pub struct Metrics {
    requests: Family<Counter>,
    rejections: Family<Counter>,
    fail_open: Family<Counter>,
    durations: Family<Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Family::counter(
                "apiserver_admission_webhook_request_total",
                "Admission webhook request total, identified by name and broken out for each admission type.",
                &["code", "name", "operation", "rejected", "type"],
            ),
            rejections: Family::counter(
                "apiserver_admission_webhook_rejection_count",
                "Admission webhook rejection count, identified by name and broken out for each admission type.",
                &["error_type", "name", "operation", "rejection_code", "type"],
            ),
            fail_open: Family::counter(
                "apiserver_admission_webhook_fail_open_count",
                "Admission webhook fail open count, identified by name and broken out for each admission type.",
                &["name", "type"],
            ),
            durations: Family::histogram(
                "apiserver_admission_webhook_admission_duration_seconds",
                "Admission webhook latency histogram in seconds, identified by name and broken out for each operation.",
                &["name", "operation", "rejected", "type"],
                BUCKETS,
            ),
        }
    }
}

impl Metrics {
    pub fn observe(
        &self,
        webhook: &str,
        stage: Stage,
        operation: &str,
        ending: Ending,
        took: Duration,
    ) {
        let is_rejected = !matches!(ending, Ending::Allowed | Ending::Failed { open: true });
        let (rejected, kind) = (is_rejected.to_string(), stage.label());
        let (code, why) = match ending {
            Ending::Allowed => (200, None),
            Ending::Denied(code) => (code, Some("no_error")),
            Ending::Failed { .. } => (0, Some("calling_webhook_error")),
        };
        let code = code.to_string();
        let labels = [&*code, webhook, operation, &rejected, kind];
        self.requests.with(&labels).inc();
        if let Some(why) = why {
            let labels = [why, webhook, operation, &code, kind];
            self.rejections.with(&labels).inc();
        }
        if ending == (Ending::Failed { open: true }) {
            self.fail_open.with(&[webhook, kind]).inc();
        }
        let labels = [webhook, operation, &rejected, kind];
        self.durations.with(&labels).took(took);
    }

    pub fn collect(&self, text: &mut Text) {
        self.requests.collect(text);
        self.rejections.collect(text);
        self.fail_open.collect(text);
        self.durations.collect(text);
    }
}

//! What is counted about calls to webhooks, under Kubernetes' names.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the latency buckets, in seconds.
const BUCKETS: [f64; 7] = [0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0];
/// Webhooks come and go: past so many lines, others share none.
const SERIES_MAX: usize = 1000;
const DURATION: &str = "apiserver_admission_webhook_admission_duration_seconds";
const REQUESTS: &str = "apiserver_admission_webhook_request_total";
const REJECTIONS: &str = "apiserver_admission_webhook_rejection_count";
const FAIL_OPEN: &str = "apiserver_admission_webhook_fail_open_count";

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

#[derive(Default)]
pub struct Metrics {
    series: Mutex<Series>,
}

#[derive(Default)]
struct Series {
    counters: BTreeMap<(&'static str, String), u64>,
    durations: BTreeMap<String, Histogram>,
}

#[derive(Default)]
struct Histogram {
    buckets: [u64; BUCKETS.len()],
    count: u64,
    seconds: f64,
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
        let rejected = !matches!(ending, Ending::Allowed | Ending::Failed { open: true });
        let of = format!("name=\"{webhook}\",operation=\"{operation}\"");
        let kind = stage.label();
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        if series.counters.len() >= SERIES_MAX {
            return;
        }
        let code = match ending {
            Ending::Allowed => 200,
            Ending::Denied(code) => code,
            Ending::Failed { .. } => 0,
        };
        series.count(
            REQUESTS,
            format!("code=\"{code}\",{of},rejected=\"{rejected}\",type=\"{kind}\""),
        );
        let why = match ending {
            Ending::Denied(_) => Some("no_error"),
            Ending::Failed { .. } => Some("calling_webhook_error"),
            Ending::Allowed => None,
        };
        if let Some(why) = why {
            series.count(
                REJECTIONS,
                format!("error_type=\"{why}\",{of},rejection_code=\"{code}\",type=\"{kind}\""),
            );
        }
        if ending == (Ending::Failed { open: true }) {
            series.count(FAIL_OPEN, format!("name=\"{webhook}\",type=\"{kind}\""));
        }
        let labels = format!("{of},rejected=\"{rejected}\",type=\"{kind}\"");
        let histogram = series.durations.entry(labels).or_default();
        let seconds = took.as_secs_f64();
        histogram.count += 1;
        histogram.seconds += seconds;
        if let Some(at) = BUCKETS.iter().position(|bound| seconds <= *bound) {
            histogram.buckets[at] += 1;
        }
    }

    /// Adds the lines in Prometheus' text form.
    pub fn render(&self, out: &mut String) {
        let series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let mut last = "";
        for ((name, labels), count) in &series.counters {
            if *name != last {
                let _ = writeln!(
                    out,
                    "# HELP {name} Calls to admission webhooks.\n# TYPE {name} counter"
                );
                last = name;
            }
            let _ = writeln!(out, "{name}{{{labels}}} {count}");
        }
        if !series.durations.is_empty() {
            let _ = writeln!(
                out,
                "# HELP {DURATION} How long admission webhooks took.\n# TYPE {DURATION} histogram"
            );
        }
        for (labels, one) in &series.durations {
            one.render(labels, out);
        }
    }
}

impl Series {
    fn count(&mut self, name: &'static str, labels: String) {
        *self.counters.entry((name, labels)).or_default() += 1;
    }
}

impl Histogram {
    fn render(&self, labels: &str, out: &mut String) {
        let mut below = 0;
        for (bound, count) in BUCKETS.iter().zip(self.buckets) {
            below += count;
            let _ = writeln!(out, "{DURATION}_bucket{{{labels},le=\"{bound}\"}} {below}");
        }
        let (count, seconds) = (self.count, self.seconds);
        let _ = writeln!(out, "{DURATION}_bucket{{{labels},le=\"+Inf\"}} {count}");
        let _ = writeln!(out, "{DURATION}_sum{{{labels}}} {seconds}");
        let _ = writeln!(out, "{DURATION}_count{{{labels}}} {count}");
    }
}

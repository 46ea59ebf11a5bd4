//! What the server counts about its own requests.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::StatusCode;

use crate::resources::Resources;
use crate::route::{Route, Target, Verb};

/// Upper bounds of the latency buckets, in seconds.
const BUCKETS: &[f64] = &[
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 3.0, 5.0, 10.0, 30.0, 60.0,
];
/// Paths and resources that nobody serves share one line.
const SERIES_MAX: usize = 2000;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    verb: &'static str,
    group: String,
    version: String,
    resource: String,
    subresource: String,
}

#[derive(Default)]
struct Series {
    codes: RwLock<BTreeMap<u16, u64>>,
    buckets: [AtomicU64; 16],
    micros: AtomicU64,
    count: AtomicU64,
}

#[derive(Default)]
pub struct Metrics {
    series: RwLock<BTreeMap<Key, Arc<Series>>>,
    in_flight: AtomicI64,
}

/// One request on its way.
pub struct Span<'a> {
    metrics: &'a Metrics,
    series: Arc<Series>,
}

impl Metrics {
    pub fn begin(&self, route: &Route) -> Span<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Span {
            metrics: self,
            series: self.series_of(key_of(route)),
        }
    }

    fn series_of(&self, key: Key) -> Arc<Series> {
        {
            let known = self.series.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(series) = known.get(&key) {
                return series.clone();
            }
        }
        let mut known = self.series.write().unwrap_or_else(PoisonError::into_inner);
        let key = if known.len() < SERIES_MAX {
            key
        } else {
            other()
        };
        known.entry(key).or_default().clone()
    }

    /// The counters in Prometheus' text form.
    pub fn render(&self, resources: &Resources) -> String {
        let mut out = String::with_capacity(16 * 1024);
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        out.push_str("# HELP apiserver_request_total Requests by verb, resource and code.\n# TYPE apiserver_request_total counter\n");
        for (key, one) in series.iter().filter(|(key, _)| is_served(resources, key)) {
            for (code, count) in one
                .codes
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .iter()
            {
                let _ = writeln!(
                    out,
                    "apiserver_request_total{{{},code=\"{code}\"}} {count}",
                    labels(key)
                );
            }
        }
        out.push_str("# HELP apiserver_request_duration_seconds Time until the answer began.\n# TYPE apiserver_request_duration_seconds histogram\n");
        for (key, one) in series.iter().filter(|(key, _)| is_served(resources, key)) {
            render_histogram(&mut out, key, one);
        }
        let in_flight = self.in_flight.load(Ordering::Relaxed);
        let _ = write!(
            out,
            "# HELP apiserver_current_inflight_requests Requests being answered.\n# TYPE apiserver_current_inflight_requests gauge\napiserver_current_inflight_requests {in_flight}\n"
        );
        out
    }
}

fn is_served(resources: &Resources, key: &Key) -> bool {
    key.resource.is_empty()
        || resources
            .find(&key.group, &key.version, &key.resource)
            .is_some()
}

fn key_of(route: &Route) -> Key {
    match &route.target {
        Target::Path => Key {
            verb: "GET",
            ..other()
        },
        Target::Resource(r) => Key {
            verb: verb(route.verb),
            group: r.group.clone(),
            version: r.version.clone(),
            resource: r.resource.clone(),
            subresource: r.subresource.clone().unwrap_or_default(),
        },
    }
}

fn other() -> Key {
    Key {
        verb: "other",
        group: String::new(),
        version: String::new(),
        resource: String::new(),
        subresource: String::new(),
    }
}

fn verb(verb: Verb) -> &'static str {
    match verb {
        Verb::Get => "GET",
        Verb::List => "LIST",
        Verb::Watch => "WATCH",
        Verb::Create => "POST",
        Verb::Update => "PUT",
        Verb::Patch => "PATCH",
        Verb::Delete => "DELETE",
        Verb::DeleteCollection => "DELETECOLLECTION",
        Verb::Other => "other",
    }
}

fn labels(key: &Key) -> String {
    let quiet = |text: &str| text.replace(['"', '\\', '\n'], "_");
    format!(
        "verb=\"{}\",group=\"{}\",version=\"{}\",resource=\"{}\",subresource=\"{}\"",
        key.verb,
        quiet(&key.group),
        quiet(&key.version),
        quiet(&key.resource),
        quiet(&key.subresource)
    )
}

fn render_histogram(out: &mut String, key: &Key, one: &Series) {
    let labels = labels(key);
    let mut below = 0;
    for (at, bound) in BUCKETS.iter().enumerate() {
        below += one.buckets[at].load(Ordering::Relaxed);
        let _ = writeln!(
            out,
            "apiserver_request_duration_seconds_bucket{{{labels},le=\"{bound}\"}} {below}"
        );
    }
    let count = one.count.load(Ordering::Relaxed);
    let seconds = Duration::from_micros(one.micros.load(Ordering::Relaxed)).as_secs_f64();
    let _ = writeln!(
        out,
        "apiserver_request_duration_seconds_bucket{{{labels},le=\"+Inf\"}} {count}"
    );
    let _ = writeln!(
        out,
        "apiserver_request_duration_seconds_sum{{{labels}}} {seconds}"
    );
    let _ = writeln!(
        out,
        "apiserver_request_duration_seconds_count{{{labels}}} {count}"
    );
}

impl Span<'_> {
    pub fn end(self, code: StatusCode, took: Duration) {
        let series = &self.series;
        *series
            .codes
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(code.as_u16())
            .or_default() += 1;
        let seconds = took.as_secs_f64();
        let at = BUCKETS
            .iter()
            .position(|bound| seconds <= *bound)
            .unwrap_or(BUCKETS.len());
        series.buckets[at].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        series.micros.fetch_add(micros, Ordering::Relaxed);
        series.count.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Span<'_> {
    fn drop(&mut self) {
        self.metrics.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

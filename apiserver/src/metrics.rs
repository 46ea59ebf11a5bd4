//! What the server counts about its own requests.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
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
    codes: RwLock<BTreeMap<u16, AtomicU64>>,
    buckets: [AtomicU64; 16],
    micros: AtomicU64,
    count: AtomicU64,
}

/// The parts of a key, as a request has them.
type Parts<'a> = (&'static str, &'a str, &'a str, &'a str, &'a str);

#[derive(Default)]
pub struct Metrics {
    series: RwLock<BTreeMap<Key, Arc<Series>>>,
    /// The same by the hash of their parts: what every request looks up, without
    /// making a key.
    quick: RwLock<HashMap<u64, (Key, Arc<Series>)>>,
    hasher: RandomState,
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
            series: self.series_of(parts_of(route)),
        }
    }

    fn series_of(&self, parts: Parts<'_>) -> Arc<Series> {
        let hash = self.hasher.hash_one(parts);
        {
            let quick = self.quick.read().unwrap_or_else(PoisonError::into_inner);
            if let Some((key, series)) = quick.get(&hash)
                && key.parts() == parts
            {
                return series.clone();
            }
        }
        let mut known = self.series.write().unwrap_or_else(PoisonError::into_inner);
        let key = if known.len() < SERIES_MAX {
            Key::of(parts)
        } else {
            Key::of(OTHER)
        };
        let series = known.entry(key.clone()).or_default().clone();
        if key.parts() == parts {
            let mut quick = self.quick.write().unwrap_or_else(PoisonError::into_inner);
            quick.insert(hash, (key, series.clone()));
        }
        series
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
                    "apiserver_request_total{{{},code=\"{code}\"}} {}",
                    labels(key),
                    count.load(Ordering::Relaxed)
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

/// What is counted together: paths, and what there is too much of.
const OTHER: Parts<'static> = ("other", "", "", "", "");

impl Key {
    fn of((verb, group, version, resource, subresource): Parts<'_>) -> Self {
        Self {
            verb,
            group: group.to_owned(),
            version: version.to_owned(),
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
        }
    }

    fn parts(&self) -> Parts<'_> {
        (
            self.verb,
            &self.group,
            &self.version,
            &self.resource,
            &self.subresource,
        )
    }
}

fn parts_of(route: &Route) -> Parts<'_> {
    match &route.target {
        Target::Path => ("GET", "", "", "", ""),
        Target::Resource(r) => (
            verb(route.verb),
            &r.group,
            &r.version,
            &r.resource,
            r.subresource.as_deref().unwrap_or_default(),
        ),
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

impl Series {
    fn count_code(&self, code: u16) {
        let codes = self.codes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = codes.get(&code) {
            count.fetch_add(1, Ordering::Relaxed);
            return;
        }
        drop(codes);
        let mut codes = self.codes.write().unwrap_or_else(PoisonError::into_inner);
        codes
            .entry(code)
            .or_default()
            .fetch_add(1, Ordering::Relaxed);
    }
}

impl Span<'_> {
    pub fn end(self, code: StatusCode, took: Duration) {
        let series = &self.series;
        series.count_code(code.as_u16());
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

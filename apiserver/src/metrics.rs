//! What the server counts about its own requests, under Kubernetes' names.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::StatusCode;
use metrics::{Counter, Gauge, Histogram, Kind, Labels, Series as _, Text};

use crate::resources::Resources;
use crate::route::{Route, Target, Verb};

/// Upper bounds of the latency buckets, in seconds.
const BUCKETS: &[f64] = &[
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 3.0, 5.0, 10.0, 30.0, 60.0,
];
/// Paths and resources that nobody serves share one line.
const SERIES_MAX: usize = 2000;
const REQUESTS: &str = "apiserver_request_total";
const DURATION: &str = "apiserver_request_duration_seconds";
const IN_FLIGHT: &str = "apiserver_current_inflight_requests";

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    verb: &'static str,
    group: String,
    version: String,
    resource: String,
    subresource: String,
}

struct Series {
    codes: RwLock<BTreeMap<u16, Counter>>,
    duration: Histogram,
}

impl Default for Series {
    fn default() -> Self {
        Self {
            codes: RwLock::default(),
            duration: Histogram::new(BUCKETS),
        }
    }
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
    reads: Gauge,
    writes: Gauge,
}

/// One request on its way.
pub struct Span<'a> {
    in_flight: &'a Gauge,
    series: Arc<Series>,
}

impl Metrics {
    pub fn begin(&self, route: &Route) -> Span<'_> {
        let in_flight = match route.verb {
            Verb::Get | Verb::List | Verb::Watch => &self.reads,
            _ => &self.writes,
        };
        in_flight.inc();
        Span {
            in_flight,
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

    pub fn collect(&self, resources: &Resources, text: &mut Text) {
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        let served: Vec<(Labels, &Series)> = series
            .iter()
            .filter(|(key, _)| is_served(resources, key))
            .map(|(key, one)| (labels(key), &**one))
            .collect();
        let help = "Counter of apiserver requests broken out for each verb, resource and code.";
        text.head(REQUESTS, Kind::Counter, help);
        for (labels, one) in &served {
            let codes = one.codes.read().unwrap_or_else(PoisonError::into_inner);
            for (code, count) in codes.iter() {
                count.write(REQUESTS, &labels.and("code", &code.to_string()), text);
            }
        }
        let help =
            "Response latency in seconds until the answer began, for each verb and resource.";
        text.head(DURATION, Kind::Histogram, help);
        for (labels, one) in &served {
            one.duration.write(DURATION, labels, text);
        }
        let help = "Number of requests that are being answered, by request kind.";
        text.head(IN_FLIGHT, Kind::Gauge, help);
        for (kind, gauge) in [("mutating", &self.writes), ("readOnly", &self.reads)] {
            gauge.write(IN_FLIGHT, &Labels::new(&[("request_kind", kind)]), text);
        }
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

fn labels(key: &Key) -> Labels {
    Labels::new(&[
        ("component", "apiserver"),
        ("verb", key.verb),
        ("group", &key.group),
        ("version", &key.version),
        ("resource", &key.resource),
        ("subresource", &key.subresource),
    ])
}

impl Series {
    fn count_code(&self, code: u16) {
        let codes = self.codes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = codes.get(&code) {
            return count.inc();
        }
        drop(codes);
        let mut codes = self.codes.write().unwrap_or_else(PoisonError::into_inner);
        codes.entry(code).or_default().inc();
    }
}

impl Span<'_> {
    pub fn end(self, code: StatusCode, took: Duration) {
        self.series.count_code(code.as_u16());
        self.series.duration.took(took);
    }
}

impl Drop for Span<'_> {
    fn drop(&mut self) {
        self.in_flight.dec();
    }
}

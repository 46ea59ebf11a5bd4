//! `rest_client_*`: what this process asks of API servers.

use std::time::Instant;

use crate::family::Family;
use crate::registry::PROCESS;
use crate::series::{Counter, Histogram};

/// The host of requests that cross no socket.
pub const IN_PROCESS: &str = "in-process";

static REQUESTS: Family<Counter> = Family::counter(
    "rest_client_requests_total",
    "Number of HTTP requests, partitioned by status code, method, and host.",
    &["code", "host", "method"],
);
static DURATION: Family<Histogram> = Family::histogram(
    "rest_client_request_duration_seconds",
    "Request latency in seconds. Broken down by verb, and host.",
    &["host", "verb"],
    &[
        0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0,
    ],
);

pub(crate) fn tell() {
    PROCESS.add(&[&REQUESTS, &DURATION]);
}

/// One request on its way.
pub struct Request<'a> {
    host: &'a str,
    method: &'a str,
    start: Instant,
}

impl<'a> Request<'a> {
    pub fn begin(host: &'a str, method: &'a str) -> Self {
        Self {
            host,
            method,
            start: Instant::now(),
        }
    }

    /// The answer began; without a code there was none.
    pub fn end(self, code: Option<u16>) {
        let Self {
            host,
            method,
            start,
        } = self;
        DURATION.with(&[host, method]).took(start.elapsed());
        let code = code.map_or_else(|| "<error>".to_owned(), |code| code.to_string());
        REQUESTS.with(&[&code, host, method]).inc();
    }
}

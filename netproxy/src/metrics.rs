//! What the node's part of the network counts: Services by the names that
//! kube-proxy has for it, DNS by CoreDNS', connections by names of our own.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jiff::Timestamp;
use metrics::{Collect, Counter, Family, Gauge, Histogram, NODE, exponential};

use crate::cluster::Protocol;

const FROM_A_MILLISECOND: [f64; 15] = exponential(0.001, 2.0);
const PROGRAMMING: [f64; 16] = [
    0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 120.0, 300.0,
];

static SYNC_TIME: Family<Histogram> = Family::histogram(
    "kubeproxy_sync_proxy_rules_duration_seconds",
    "SyncProxyRules latency in seconds.",
    &[],
    &FROM_A_MILLISECOND,
);
static SYNCED_AT: Family<Gauge> = Family::gauge(
    "kubeproxy_sync_proxy_rules_last_timestamp_seconds",
    "The last time proxy rules were successfully synced.",
    &[],
);
static PROGRAMMING_TIME: Family<Histogram> = Family::histogram(
    "kubeproxy_network_programming_duration_seconds",
    "In Cluster Network Programming Latency in seconds.",
    &[],
    &PROGRAMMING,
);
static SERVICE_CHANGES: Family<Counter> = Family::counter(
    "kubeproxy_sync_proxy_rules_service_changes_total",
    "Cumulative proxy rules Service changes.",
    &[],
);
static ENDPOINT_CHANGES: Family<Counter> = Family::counter(
    "kubeproxy_sync_proxy_rules_endpoint_changes_total",
    "Cumulative proxy rules Endpoint changes.",
    &[],
);
static UNSERVED: Family<Gauge> = Family::gauge(
    "skiff_proxy_unserved_services",
    "Services with an address that could not be listened on.",
    &[],
);
static OPENED: Family<Counter> = Family::counter(
    "skiff_proxy_connections_total",
    "Connections (TCP) and clients (UDP) that were forwarded.",
    &["protocol"],
);
static OPEN: Family<Gauge> = Family::gauge(
    "skiff_proxy_connections",
    "Connections (TCP) and clients (UDP) that are being forwarded.",
    &["protocol"],
);
static UNREACHED: Family<Counter> = Family::counter(
    "skiff_proxy_unreached_total",
    "Connections that were reset because no endpoint could be reached.",
    &["protocol"],
);
static DNS_REQUESTS: Family<Counter> = Family::counter(
    "coredns_dns_requests_total",
    "Counter of DNS requests made per protocol and type.",
    &["proto", "type"],
);
static DNS_RESPONSES: Family<Counter> = Family::counter(
    "coredns_dns_responses_total",
    "Counter of response status codes.",
    &["rcode"],
);

/// Adds what is counted here to the node's metrics.
pub fn tell() {
    static ALL: LazyLock<[&dyn Collect; 11]> = LazyLock::new(|| {
        [
            &SYNC_TIME,
            &SYNCED_AT,
            &PROGRAMMING_TIME,
            &SERVICE_CHANGES,
            &ENDPOINT_CHANGES,
            &UNSERVED,
            &OPENED,
            &OPEN,
            &UNREACHED,
            &DNS_REQUESTS,
            &DNS_RESPONSES,
        ]
    });
    NODE.add(&*ALL);
}

/// The listeners are what the cluster wants, but for so many Services.
pub fn synced(took: Duration, unserved: usize) {
    SYNC_TIME.only().took(took);
    SYNCED_AT.only().set(Timestamp::now().as_second());
    UNSERVED.only().set(unserved);
}

/// A change that happened then is in force on this node.
pub fn programmed(triggered: Timestamp) {
    let took = Timestamp::now().duration_since(triggered);
    // Another machine's clock may be ahead.
    let took = Duration::try_from(took).unwrap_or_default();
    PROGRAMMING_TIME.only().took(took);
}

pub fn services_changed(count: usize) {
    SERVICE_CHANGES.only().add(count as u64);
}

pub fn endpoints_changed(count: usize) {
    ENDPOINT_CHANGES.only().add(count as u64);
}

/// One protocol's connections.
pub struct Connections {
    opened: Arc<Counter>,
    open: Arc<Gauge>,
    unreached: Arc<Counter>,
}

impl Connections {
    pub fn of(protocol: Protocol) -> &'static Self {
        static TCP: LazyLock<Connections> = LazyLock::new(|| Connections::new(Protocol::Tcp));
        static UDP: LazyLock<Connections> = LazyLock::new(|| Connections::new(Protocol::Udp));
        match protocol {
            Protocol::Tcp => &TCP,
            Protocol::Udp => &UDP,
        }
    }

    fn new(protocol: Protocol) -> Self {
        let protocol = [protocol.as_str()];
        Self {
            opened: OPENED.with(&protocol),
            open: OPEN.with(&protocol),
            unreached: UNREACHED.with(&protocol),
        }
    }

    /// Counts one more until what this returns is dropped.
    pub fn begin(&'static self) -> Open {
        self.opened.inc();
        self.open.inc();
        Open(self)
    }

    pub fn unreached(&self) {
        self.unreached.inc();
    }
}

/// A connection that is being forwarded.
pub struct Open(&'static Connections);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.dec();
    }
}

/// A question came, by `proto`, of a type in DNS' own words.
pub fn asked(proto: &str, kind: &str) {
    DNS_REQUESTS.with(&[proto, known_type(kind)]).inc();
}

/// A reply goes out.
pub fn answered(reply: &[u8]) {
    // The last four bits of a message's fourth byte (RFC 1035, 4.1.1).
    let code = reply.get(3).map_or(2, |byte| byte & 0xf);
    let word = match code {
        0 => "NOERROR",
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        _ => "other",
    };
    DNS_RESPONSES.with(&[word]).inc();
}

/// As CoreDNS: rare types are counted together.
fn known_type(kind: &str) -> &str {
    const KNOWN: [&str; 13] = [
        "A", "AAAA", "MX", "SOA", "CNAME", "PTR", "TXT", "NS", "SRV", "DS", "DNSKEY", "HTTPS",
        "ANY",
    ];
    if KNOWN.contains(&kind) { kind } else { "other" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_open_until_it_is_dropped() {
        let udp = Connections::of(Protocol::Udp);
        let (open, opened) = (udp.open.get(), udp.opened.get());
        let one = udp.begin();
        assert_eq!((udp.open.get(), udp.opened.get()), (open + 1, opened + 1));
        drop(one);
        assert_eq!((udp.open.get(), udp.opened.get()), (open, opened + 1));
    }

    #[test]
    fn rare_types_are_counted_together() {
        assert_eq!(
            (known_type("AAAA"), known_type("TYPE65400")),
            ("AAAA", "other")
        );
    }
}

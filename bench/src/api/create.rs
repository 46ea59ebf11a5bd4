//! Pods created as fast as the server takes them: the pods, the connections and
//! the way of asking of `create_pods.lua` for wrk, with which the peer was measured.

use std::time::Duration;

use super::Options;
use crate::load::{self, Outcome, Until};
use crate::report::{Line, millis, number};
use crate::server::Server;

pub const PATH: &str = "/api/v1/namespaces/default/pods";
const PEER: f64 = 1850.0;

pub struct Figures {
    outcome: Outcome,
    connections: usize,
    cpu: Duration,
}

pub fn run(server: &Server, options: &Options) -> anyhow::Result<Figures> {
    let target = server.target.clone();
    let before = server.usage()?;
    let outcome = load::run(
        &server.target,
        options.connections,
        Until::Requests(options.pods),
        201,
        move |number, request| request.extend(target.request("POST", PATH, &pod(number))),
    )?;
    Ok(Figures {
        outcome,
        connections: options.connections,
        cpu: server.usage()?.cpu - before.cpu,
    })
}

/// The pod of a number.
pub fn pod(number: u64) -> String {
    let label = number % 100;
    format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"p-bench-{number}","labels":{{"app":"bench","n":"{label}"}}}},"spec":{{"containers":[{{"name":"c","image":"registry.example/app:1.2.3","command":["/bin/app","--serve"],"env":[{{"name":"A","value":"1"}},{{"name":"B","value":"two"}}],"ports":[{{"containerPort":8080}}],"resources":{{"requests":{{"cpu":"100m","memory":"64Mi"}},"limits":{{"cpu":"1","memory":"256Mi"}}}}}}]}}}}"#
    )
}

impl Figures {
    pub fn print(&self) {
        let outcome = &self.outcome;
        let rate = outcome.per_second();
        let pods = outcome.latencies.total();
        Line {
            what: "create",
            measured: format!(
                "{} pods/s over {} connections, durable: p50 {}, p99 {}, {} failed; {} us of the server's CPU each",
                number(rate),
                self.connections,
                millis(outcome.latencies.percentile(50.0)),
                millis(outcome.latencies.percentile(99.0)),
                outcome.failures,
                self.cpu.as_micros() / u128::from(pods.max(1)),
            ),
            peer: Some(("1,850/s, p50 28 ms", rate / PEER)),
            goal: "10,000/s",
        }
        .print();
    }
}

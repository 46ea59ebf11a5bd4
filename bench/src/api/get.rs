//! One pod, got as fast as the server answers.

use super::{Options, create};
use crate::load::{self, Until};
use crate::report::{Line, millis, number};
use crate::server::Server;

const PEER: f64 = 6160.0;

pub fn run(server: &Server, options: &Options) -> anyhow::Result<()> {
    let path = format!("{}/p-bench-0", create::PATH);
    let request = server.target.request("GET", &path, "");
    let connections = (options.connections / 2).max(1);
    let before = server.usage()?;
    let until = Until::Time(options.time());
    let outcome = load::run(&server.target, connections, until, 200, move |_, out| {
        out.extend_from_slice(&request);
    })?;
    let cpu = server.usage()?.cpu - before.cpu;
    let rate = outcome.per_second();
    Line {
        what: "get",
        measured: format!(
            "{}/s over {connections} connections: p50 {}, p99 {}, {} failed; {} us of the server's CPU each",
            number(rate),
            millis(outcome.latencies.percentile(50.0)),
            millis(outcome.latencies.percentile(99.0)),
            outcome.failures,
            cpu.as_micros() / u128::from(outcome.latencies.total().max(1)),
        ),
        peer: Some(("6,160/s", rate / PEER)),
        goal: "40,000/s",
    }
    .print();
    Ok(())
}

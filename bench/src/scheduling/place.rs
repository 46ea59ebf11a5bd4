//! How fast pods that wait come to nodes, and what the scheduler takes for it.
//!
//! The server is started with a scheduler that no pod asks for, and gets nodes
//! and pods; then it is started again as usual, finds them all, and a watcher
//! counts how many pods have a node. Nodes are objects only: no pod runs.
//!
//! The scheduler's own memory shows where it has a process of its own: the
//! same is done once more with `scheduler/examples/alone.rs` beside a server
//! that does not schedule.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use anyhow::ensure;
use memchr::memmem;
use tokio::sync::Notify;

use super::{Options, load};
use crate::api::create;
use crate::load::{self as loads, Until};
use crate::process::Process;
use crate::report::{Line, number};
use crate::server::Server;

const PEER: f64 = 300.0;
const CONNECTIONS: usize = 64;
const LIMIT: Duration = Duration::from_secs(600);
/// Of these shares of all pods, the time between them counts: the ends depend
/// on how the watch begins.
const COUNTED: (f64, f64) = (0.1, 0.9);
const NOBODY: &str = "kind: KubeSchedulerConfiguration
profiles: [{schedulerName: nobody}]
";

/// Starts a server, has it schedule, and prints the figures.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let idle = tempfile::NamedTempFile::new_in(&options.data_dir)?;
    std::fs::write(idle.path(), NOBODY)?;
    let mut args = options.server.clone();
    args.push(format!("--scheduler-config={}", idle.path().display()));
    let mut server = waiting_pods(options, &args)?;
    server.restart(&options.server)?;
    println!("  {}", server.command);
    let before = server.usage()?;
    let times = count(&server, options.pods)?;
    let after = server.usage()?;
    report(options, &times, after.cpu - before.cpu, after.resident_kib);
    drop(server);
    alone(options, &args)
}

/// A server that has nodes, and pods that nobody schedules.
fn waiting_pods(options: &Options, args: &[String]) -> anyhow::Result<Server> {
    let server = Server::start(&options.binary()?, &options.data_dir, args)?;
    fill(&server, "/api/v1/nodes", options.nodes, node)?;
    fill(&server, create::PATH, options.pods, create::pod)?;
    Ok(server)
}

fn alone(options: &Options, args: &[String]) -> anyhow::Result<()> {
    let Some(program) = options.scheduler()? else {
        println!("no scheduler of its own to measure: scripts/bench.sh builds one");
        return Ok(());
    };
    let server = waiting_pods(options, args)?;
    let log = server.dir().join("scheduler");
    let scheduler = Process::start(&program, [server.kubeconfig()], &log)?;
    println!("  {}", scheduler.command);
    let times = count(&server, options.pods)?;
    let used = scheduler.usage()?;
    let rate = rate(options, &times);
    Line {
        what: "alone",
        measured: format!(
            "the scheduler in a process of its own: {} MB when all were bound, {} MB at most; {} us of its CPU a pod, {} pods/s over TLS; load {}",
            used.resident_kib / 1024,
            used.peak_kib / 1024,
            used.cpu.as_micros() / u128::from(options.pods.max(1)),
            number(rate),
            load()?,
        ),
        peer: None,
        goal: "150 MB",
    }
    .print();
    Ok(())
}

/// Pods a second.
fn rate(options: &Options, times: &[(Duration, u64)]) -> f64 {
    let at = |share: f64| {
        let wanted = (options.pods as f64 * share) as u64;
        let reached = times.iter().find(|(_, count)| *count >= wanted);
        reached.map_or((0.0, 0.0), |(at, count)| (at.as_secs_f64(), *count as f64))
    };
    let ((from, first), (to, last)) = (at(COUNTED.0), at(COUNTED.1));
    (last - first) / (to - from).max(f64::EPSILON)
}

fn report(options: &Options, times: &[(Duration, u64)], cpu: Duration, kib: u64) {
    let rate = rate(options, times);
    let all = times.last().map_or(0.0, |(at, _)| at.as_secs_f64());
    let load = load().unwrap_or_default();
    Line {
        what: "schedule",
        measured: format!(
            "{} pods on {} nodes: {} pods/s; all bound {all:.1} s after the server was ready; {} us of its CPU each; {} MB resident then, all parts together; load {load}",
            number(options.pods as f64),
            number(options.nodes as f64),
            number(rate),
            cpu.as_micros() / u128::from(options.pods.max(1)),
            kib / 1024,
        ),
        peer: Some(("about 300/s, 1.2 GB in the scheduler alone", rate / PEER)),
        goal: "5,000/s with 28,000 pods on 500 nodes, 150 MB in the scheduler",
    }
    .print();
}

fn fill(
    server: &Server,
    path: &'static str,
    all: u64,
    body: fn(u64) -> String,
) -> anyhow::Result<()> {
    let target = server.target.clone();
    let made = loads::run(
        &server.target,
        CONNECTIONS,
        Until::Requests(all),
        201,
        move |number, request| request.extend(target.request("POST", path, &body(number))),
    )?;
    ensure!(
        made.failures == 0,
        "{} of {all} were not made at {path}",
        made.failures
    );
    Ok(())
}

fn node(number: u64) -> String {
    let zone = number % 3;
    let amounts = r#"{"cpu":"32","memory":"256Gi","pods":"110"}"#;
    let ready = r#"{"type":"Ready","status":"True","reason":"KubeletReady","message":"bench"}"#;
    format!(
        r#"{{"apiVersion":"v1","kind":"Node","metadata":{{"name":"n{number}","labels":{{"kubernetes.io/hostname":"n{number}","topology.kubernetes.io/zone":"z{zone}"}}}},"status":{{"capacity":{amounts},"allocatable":{amounts},"conditions":[{ready}]}}}}"#
    )
}

/// How many pods had a node after how long, until all have one.
fn count(server: &Server, all: u64) -> anyhow::Result<Vec<(Duration, u64)>> {
    let path = "/api/v1/pods?watch=true&resourceVersion=0&fieldSelector=spec.nodeName%21%3D";
    let request = server.target.request("GET", path, "");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (begun, times) = (Instant::now(), RefCell::new(Vec::new()));
    let (seen, done) = (Cell::new(0u64), Notify::new());
    runtime.block_on(async {
        let mut connection = server.target.connect().await?;
        let mut added = Added::default();
        let counting = connection.stream(
            &request,
            || {},
            |data| {
                seen.set(seen.get() + added.count(data));
                times.borrow_mut().push((begun.elapsed(), seen.get()));
                if seen.get() >= all {
                    done.notify_one();
                }
            },
        );
        tokio::select! {
            ended = counting => ended.and_then(|()| anyhow::bail!("the watch ended")),
            () = done.notified() => Ok(()),
            () = tokio::time::sleep(LIMIT) => anyhow::bail!("only {} pods have a node", seen.get()),
        }
    })?;
    Ok(times.into_inner())
}

const ADDED: &[u8] = br#"{"type":"ADDED""#;

/// Counts events of new objects in what comes in pieces.
#[derive(Default)]
struct Added {
    /// The end of the last piece, with the next one after it.
    joined: Vec<u8>,
}

impl Added {
    fn count(&mut self, data: &[u8]) -> u64 {
        self.joined.extend_from_slice(data);
        let count = memmem::find_iter(&self.joined, ADDED).count();
        let kept = self.joined.len().min(ADDED.len() - 1);
        self.joined.drain(..self.joined.len() - kept);
        count as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_comes_in_two_pieces_counts_once() {
        let mut added = Added::default();
        let whole = [ADDED, b"}\n", ADDED].concat();
        for cut in 0..whole.len() {
            let mut added = Added::default();
            let (first, rest) = whole.split_at(cut);
            assert_eq!(added.count(first) + added.count(rest), 2, "cut at {cut}");
        }
        assert_eq!(added.count(br#"{"type":"MODIFIED""#), 0);
    }
}

//! How fast pods that wait come to nodes.
//!
//! The server is started with a scheduler that no pod asks for, and gets nodes
//! and pods; then it is started again as usual, finds them all, and a watcher
//! counts how many pods have a node. Nodes are objects only: no pod runs.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use memchr::memmem;
use tokio::sync::Notify;

use crate::api::create;
use crate::load::{self, Until};
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

#[derive(Args)]
pub struct Options {
    /// The skiff to measure [default: the one beside this program]
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,

    /// A directory on a real disk, in which the server gets one of its own
    #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
    data_dir: PathBuf,

    /// How many pods wait
    #[arg(long, default_value_t = 28_000)]
    pods: u64,

    /// How many nodes there are
    #[arg(long, default_value_t = 500)]
    nodes: u64,

    /// More arguments for `skiff server`
    #[arg(last = true)]
    server: Vec<String>,
}

/// Starts a server, has it schedule, and prints the figures.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None => std::env::current_exe()
            .context("find this program's own file")?
            .with_file_name("skiff"),
    };
    let idle = tempfile::NamedTempFile::new_in(&options.data_dir)?;
    std::fs::write(idle.path(), NOBODY)?;
    let mut args = options.server.clone();
    args.push(format!("--scheduler-config={}", idle.path().display()));
    let mut server = Server::start(&binary, &options.data_dir, &args)?;
    let own: Vec<String> = std::env::args().collect();
    println!("$ {}", own.join(" "));
    fill(&server, "/api/v1/nodes", options.nodes, node)?;
    fill(&server, create::PATH, options.pods, create::pod)?;
    server.restart(&options.server)?;
    println!("  {}", server.command);
    let before = server.usage()?;
    let times = count(&server, options.pods)?;
    let after = server.usage()?;
    report(options, &times, before.cpu, after.cpu, after.resident_kib);
    Ok(())
}

fn report(
    options: &Options,
    times: &[(Duration, u64)],
    before: Duration,
    after: Duration,
    kib: u64,
) {
    let at = |share: f64| {
        let wanted = (options.pods as f64 * share) as u64;
        let reached = times.iter().find(|(_, count)| *count >= wanted);
        reached.map_or((0.0, 0.0), |(at, count)| (at.as_secs_f64(), *count as f64))
    };
    let ((from, first), (to, last)) = (at(COUNTED.0), at(COUNTED.1));
    let rate = (last - first) / (to - from).max(f64::EPSILON);
    let all = times.last().map_or(0.0, |(at, _)| at.as_secs_f64());
    Line {
        what: "schedule",
        measured: format!(
            "{} pods on {} nodes: {} pods/s; all bound {all:.1} s after the server was ready; {} us of its CPU each; {} MB resident then, all parts together",
            number(options.pods as f64),
            number(options.nodes as f64),
            number(rate),
            (after - before).as_micros() / u128::from(options.pods.max(1)),
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
    let made = load::run(
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

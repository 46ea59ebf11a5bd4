//! Hollow nodes full of pods on one server: how long until all pods are ready,
//! what the server takes when nothing happens but heartbeats, and how long a
//! Deployment of 5,000 pods takes to be rolled over.

use std::time::Duration;

use anyhow::Context;

use super::{Options, deployments, load};
use crate::process::Process;
use crate::report::{Line, number};
use crate::server::{Server, Usage};

/// Pods of one Deployment.
const REPLICAS: u64 = 5_000;
const READY_LIMIT: Duration = Duration::from_secs(1800);
const ROLL_LIMIT: Duration = Duration::from_secs(600);
/// Room for a /24 of pod addresses a node.
const ADDRESSES: &str = "--cluster-cidr=10.128.0.0/9";

struct Figures {
    nodes: u64,
    pods: u64,
    /// From their registration until all nodes take pods.
    usable: Duration,
    ready: Duration,
    /// CPU until all were ready.
    cpu: Duration,
    /// Of one core, when nothing happens.
    steady: f64,
    then: Usage,
    hollow: Usage,
    rolled: Duration,
    replicas: u64,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut all: Vec<Figures> = Vec::new();
    for nodes in &options.hollow {
        let server = start(options)?;
        let figures = runtime.block_on(measure(options, *nodes, &server));
        let figures = figures.with_context(|| format!("{nodes} hollow nodes"))?;
        print(&figures);
        all.push(figures);
    }
    if let [few, .., many] = &all[..] {
        print_growth(few, many);
    }
    Ok(())
}

fn start(options: &Options) -> anyhow::Result<Server> {
    let mut args = options.server.clone();
    args.push(ADDRESSES.to_owned());
    let server = Server::start(&options.binary()?, &options.data_dir, &args)?;
    println!("  {}", server.command);
    Ok(server)
}

async fn measure(options: &Options, nodes: u64, server: &Server) -> anyhow::Result<Figures> {
    let pods = nodes * options.pods_each;
    let binary = options.binary()?;
    let of = [
        "hollow-nodes".into(),
        nodes.to_string().into(),
        "--kubeconfig".into(),
    ];
    let args = of.into_iter().chain([server.kubeconfig()]);
    let mut hollow = Process::start(&binary, args, &server.dir().join("hollow"))?;
    println!("  {}", hollow.command);
    hollow.wait_for_a_line().context("register the nodes")?;
    let usable = deployments::wait_for_nodes(&server.target, READY_LIMIT).await?;

    let before = server.usage()?;
    let sizes = (0..pods)
        .step_by(REPLICAS as usize)
        .map(|at| REPLICAS.min(pods - at));
    for (number, replicas) in (0..).zip(sizes) {
        deployments::create(&server.target, number, replicas).await?;
    }
    let ready = deployments::wait_for_ready(&server.target, pods, READY_LIMIT).await?;
    let cpu = server.usage()?.cpu - before.cpu;
    let (steady, then) = at_rest(server, Duration::from_secs(options.seconds)).await?;
    let rolled = deployments::roll(&server.target, 0, ROLL_LIMIT).await?;
    Ok(Figures {
        nodes,
        pods,
        usable,
        ready,
        cpu,
        steady,
        then,
        hollow: hollow.usage()?,
        rolled,
        replicas: REPLICAS.min(pods),
    })
}

/// The share of a core that the server takes when nothing happens; what was
/// left to be told of is told first.
async fn at_rest(server: &Server, time: Duration) -> anyhow::Result<(f64, Usage)> {
    tokio::time::sleep(time).await;
    let before = server.usage()?;
    tokio::time::sleep(time).await;
    let after = server.usage()?;
    let share = (after.cpu - before.cpu).as_secs_f64() / time.as_secs_f64();
    Ok((share, after))
}

fn print(figures: &Figures) {
    let load = load().unwrap_or_default();
    let count = |count: u64| number(count as f64);
    let (nodes, pods) = (count(figures.nodes), count(figures.pods));
    Line {
        what: "hold",
        measured: format!(
            "{nodes} nodes, usable {:.1} s after they were registered; {pods} pods: ready after {:.1} s, {} pods/s, {} us of the server's CPU each; at rest {:.0} % of a core, {} MB ({} MB at most before); load {load}",
            figures.usable.as_secs_f64(),
            figures.ready.as_secs_f64(),
            number(figures.pods as f64 / figures.ready.as_secs_f64()),
            figures.cpu.as_micros() / u128::from(figures.pods.max(1)),
            figures.steady * 100.0,
            figures.then.resident_kib / 1024,
            figures.then.peak_kib / 1024,
        ),
        peer: None,
        goal: "5,000 nodes with 150,000 pods: 50 % of a core and 1,500 MB at rest",
    }
    .print();
    Line {
        what: "roll",
        measured: format!(
            "a Deployment of {} rolled over beside them in {:.1} s; the hollow nodes took {:.0} s of CPU and {} MB in all; load {load}",
            count(figures.replicas),
            figures.rolled.as_secs_f64(),
            figures.hollow.cpu.as_secs_f64(),
            figures.hollow.resident_kib / 1024,
        ),
        peer: None,
        goal: "no pod less than its strategy allows",
    }
    .print();
}

fn print_growth(few: &Figures, many: &Figures) {
    let time = |figures: &Figures| figures.ready.as_secs_f64();
    let cpu = |figures: &Figures| figures.cpu.as_secs_f64() / figures.pods as f64;
    let memory = |figures: &Figures| figures.then.resident_kib as f64;
    let rolled = |figures: &Figures| figures.rolled.as_secs_f64();
    let times = |of: &dyn Fn(&Figures) -> f64| of(many) / of(few).max(f64::EPSILON);
    println!(
        "growth   {:.1} times the nodes: {:.1} times as long until ready ({:.2} times the CPU a pod), {:.1} times the CPU at rest, {:.1} times the memory, {:.1} times as long a rollout",
        many.nodes as f64 / few.nodes as f64,
        times(&time),
        times(&cpu),
        times(&|figures| figures.steady),
        times(&memory),
        times(&rolled),
    );
}

//! Three servers on an etcd of three members, each on a machine of its own; any one
//! of the six is killed, paused or cut off, in turns, while clients write and read
//! through all servers.
//!
//! No acknowledged write is lost; no read, list or watch goes back behind what any
//! client knew when it began; nothing is told of twice or out of order; no increment
//! is lost; controllers make nothing twice.
//!
//! `SKIFF_FAULT_MINUTES` says how long (2), `SKIFF_SEED` which turns; both are printed.

mod check;
mod clients;
mod dice;
mod follow;
mod load;
mod moving;
mod record;
mod witness;
mod work;
mod world;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use e2e::{need, until};
use kube::api::ListParams;
use serde_json::{Value, json};
use tokio::task::LocalSet;
use tokio::time::timeout;

use clients::Clients;
use dice::Dice;
use follow::Follower;
use load::Load;
use record::{List, Outcome, Record};
use work::{Seen, Work};
use world::{Ground, World};

const PROGRAMS: &[&str] = &["curl", "etcd", "kubectl", "nsenter"];
const MINUTES: u64 = 2;
/// What is left to do when all is well again.
const PATIENCE: Duration = Duration::from_secs(300);
const OWNERS: usize = 3;
const COUNTERS: usize = 3;
const READERS: usize = 2;
/// A client is without an answer for less than this: one server is lost, and
/// etcd may have to elect a leader.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("the variable is a number"))
}

/// What the two sides of the test tell each other.
#[derive(Default)]
struct Flags {
    /// The clients know what there was before any fault.
    has_begun: AtomicBool,
    /// Nothing more is to be written.
    is_over: AtomicBool,
    /// All work is done.
    is_settled: AtomicBool,
}

impl Flags {
    fn says(
        self: &Arc<Self>,
        which: impl Fn(&Self) -> &AtomicBool + 'static,
    ) -> Rc<dyn Fn() -> bool> {
        let flags = self.clone();
        Rc::new(move || which(&flags).load(Ordering::SeqCst))
    }
}

/// What the clients come back with.
struct Story {
    start: List,
    record: Arc<Record>,
    seen: Seen,
    longest: Duration,
}

#[test]
fn three_servers_keep_every_promise_whichever_part_is_lost() {
    if !need::met(PROGRAMS) {
        return;
    }
    let minutes = number("SKIFF_FAULT_MINUTES").unwrap_or(MINUTES);
    let seed = number("SKIFF_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("SKIFF_FAULT_MINUTES={minutes} SKIFF_SEED={seed}");
    let ground = Ground::new();
    let mut world = World::new(&ground);
    let completions = 20 * minutes;
    prepare(&world, completions);
    let flags = Arc::new(Flags::default());
    let kubeconfig = world.servers[0].dir.join("admin.kubeconfig");

    let story = std::thread::scope(|scope| {
        let (ground, clients_flags) = (&ground, flags.clone());
        let clients =
            scope.spawn(move || on_clients_machine(ground, kubeconfig, seed, clients_flags));
        // Whatever happens here, the other side must end.
        let ended = EndsBoth(flags.clone());
        until("the clients have begun", PATIENCE, || {
            flags.has_begun.load(Ordering::SeqCst).then_some(())
        });
        let end = Instant::now() + Duration::from_secs(60 * minutes);
        let faults = world.play(&mut Dice::new(seed), end);
        println!("{} faults", faults.len());
        flags.is_over.store(true, Ordering::SeqCst);
        settle(&world, completions);
        drop(ended);
        clients.join().expect("the clients' side ends well")
    });
    judge(&world, &story, completions);
}

struct EndsBoth(Arc<Flags>);

impl Drop for EndsBoth {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::SeqCst);
        self.0.is_settled.store(true, Ordering::SeqCst);
    }
}

fn prepare(world: &World<'_>, completions: u64) {
    let kubectl = world.servers[0].kubectl();
    for name in [load::NAMESPACE, work::NAMESPACE] {
        kubectl.ok(&["create", "namespace", name]);
        // Pods need it, and the namespace's controller its time.
        until("the ServiceAccount is there", PATIENCE, || {
            let account = kubectl.get(&["serviceaccount", "default", "-n", name]);
            (account != Value::Null).then_some(())
        });
    }
    kubectl.apply(&json!({ "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "first", "namespace": load::NAMESPACE } }));
    kubectl.apply(&work::manifest(completions));
}

/// Waits until everything that was asked for is done.
fn settle(world: &World<'_>, completions: u64) {
    let kubectl = world.servers[0].kubectl();
    let get = |what: &[&str]| kubectl.get(&[what, &["-n", work::NAMESPACE]].concat());
    until("the Job is complete", PATIENCE, || {
        (get(&["job", "counted"])["status"]["succeeded"] == completions).then_some(())
    });
    for name in ["grow", "roll"] {
        until(&format!("{name} is as wanted"), PATIENCE, || {
            let deployment = get(&["deployment", name]);
            let (spec, status) = (&deployment["spec"], &deployment["status"]);
            let is_seen = status["observedGeneration"] == deployment["metadata"]["generation"];
            let counts = ["replicas", "updatedReplicas", "readyReplicas"];
            let is_done = counts
                .iter()
                .all(|count| status[*count] == spec["replicas"]);
            (is_seen && is_done && spec["replicas"].is_u64()).then_some(())
        });
    }
}

fn on_clients_machine(ground: &Ground, kubeconfig: PathBuf, seed: u64, flags: Arc<Flags>) -> Story {
    let mut story = None;
    let urls = ground.urls();
    ground.clients().enter(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.expect("start a runtime");
        let told = LocalSet::new().block_on(&runtime, async {
            let clients = Clients::new(&kubeconfig, &urls, Dice::new(seed)).await;
            be_clients(clients, seed, &flags).await
        });
        story = Some(told);
    });
    story.expect("the clients have come back")
}

/// All clients, from the first list to the last.
async fn be_clients(clients: Clients, seed: u64, flags: &Arc<Flags>) -> Story {
    let record = Arc::new(Record::default());
    let load = Load {
        clients: clients.clone(),
        record: record.clone(),
        stop: flags.says(|flags| &flags.is_over),
    };
    let start = load
        .list(ListParams::default())
        .await
        .expect("the first list");
    flags.has_begun.store(true, Ordering::SeqCst);
    let seen = Rc::new(RefCell::new(Seen::default()));
    let work = Work {
        clients: clients.another(seed + 1000),
        seen: seen.clone(),
        stop: flags.says(|flags| &flags.is_over),
    };
    // From the beginning of all work on.
    work.watch(0);
    let working = tokio::task::spawn_local(work.ask_for_more());
    let watchers: Vec<_> = (0..3)
        .map(|at| {
            let asks = clients.another(seed + 2000 + at as u64);
            let follower = Follower::new(asks, load::PATH, at, start.at);
            tokio::task::spawn_local(witness::watch(follower, at, start.at, record.clone()))
        })
        .collect();
    let longest = busy(&load, seed).await;
    working.await.expect("the work is asked for");
    finish(&load).await;
    for watcher in watchers {
        let watched = timeout(PATIENCE, watcher).await;
        watched
            .expect("every watcher sees the end")
            .expect("and does not fail");
    }
    let is_settled = flags.says(|flags| &flags.is_settled);
    while !is_settled() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    see_all_work(&clients, &seen).await;
    let seen = seen.borrow().clone();
    Story {
        start,
        record,
        seen,
        longest,
    }
}

/// Runs the load until it is over; the longest time that a client had no answer.
async fn busy(load: &Load, seed: u64) -> Duration {
    let mut tasks = Vec::new();
    for who in 0..(OWNERS + COUNTERS + READERS) {
        let load = load.another(seed + 1 + who as u64);
        let pauses = load.clients.pauses.clone();
        let task = match who {
            who if who < OWNERS => tokio::task::spawn_local(load.own(who)),
            who if who < OWNERS + COUNTERS => tokio::task::spawn_local(load.count()),
            _ => tokio::task::spawn_local(load.read()),
        };
        tasks.push((task, pauses));
    }
    let mut longest = Duration::ZERO;
    let mut answers = 0;
    for (task, pauses) in tasks {
        task.await.expect("a client does not fail");
        longest = longest.max(pauses.longest());
        answers += pauses.answers();
    }
    println!("{answers} answers; the longest without one: {longest:?}");
    longest
}

/// The last write, and what each server has then.
async fn finish(load: &Load) {
    while !load.write_end().await {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for server in 0..3 {
        while load.list_at(server).await.is_none() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// Waits until the watchers have seen what there is now.
async fn see_all_work(clients: &Clients, seen: &Rc<RefCell<Seen>>) {
    let all = async {
        loop {
            let missing = work::missing(clients, seen).await;
            if missing.is_some_and(|missing| missing.is_empty()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    timeout(PATIENCE, all)
        .await
        .expect("the watchers see all that was made");
}

fn judge(world: &World<'_>, story: &Story, completions: u64) {
    let kept = story.record.kept();
    let count = |outcome: fn(&Outcome) -> bool| {
        kept.writes
            .iter()
            .filter(|write| outcome(&write.outcome))
            .count()
    };
    println!(
        "{} writes acknowledged, {} refused, {} in doubt; {} reads, {} lists, {} events",
        count(|outcome| matches!(outcome, Outcome::Done(_))),
        count(|outcome| matches!(outcome, Outcome::Refused(_))),
        count(|outcome| matches!(outcome, Outcome::InDoubt)),
        kept.reads.len(),
        kept.lists.len(),
        kept.watched
            .iter()
            .flatten()
            .map(|w| w.events.len())
            .sum::<usize>(),
    );
    let made = ["pods", "jobs", "replicasets", "events"];
    let made = made.map(|kind| format!("{} {kind}", story.seen.of(kind).count()));
    println!("controllers made {}", made.join(", "));
    let lost = |server: &e2e::Skiff<'_>| server.log().matches("does not lead any more").count();
    println!(
        "leaders deposed: {:?}",
        world.servers.iter().map(lost).collect::<Vec<_>>()
    );
    println!("events told twice: {:?}", story.seen.doubled_events());

    let mut flaws: BTreeSet<String> = check::flaws(&story.start, &kept).into_iter().collect();
    flaws.extend(story.seen.flaws(completions));
    let told: Vec<_> = flaws.iter().take(20).collect();
    assert!(flaws.is_empty(), "{} flaws: {told:#?}", flaws.len());
    assert!(story.longest < LONGEST_PAUSE, "{:?}", story.longest);
    assert!(
        kept.writes.len() > 100 && kept.reads.len() > 100,
        "there was load"
    );
}

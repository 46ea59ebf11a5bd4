//! Starting the agent, and undoing what it leaves.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use apimachinery::Quantity;
use apimachinery::quantity::Format;
use events::Events;
use images::Images;
use kube::Client;
use netproxy::PodNetwork;
use runtime::Runtime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::admission::Ledger;
use crate::agent::{Agent, Registry};
use crate::clock::Jumps;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::eviction::{Evictor, Places};
use crate::garbage::ImageGarbage;
use crate::node::machine::{self, Machine};
use crate::node::telling::NodeEvents;
use crate::node::{self, Keeper};
use crate::objects::Changes;
use crate::pod_events::Recorder;
use crate::pods::Pods;
use crate::resources::Allocatable;
use crate::services::Services;
use crate::spec::{NodeLimits, capabilities};
use crate::storage::Storage;
use crate::{dirs, metrics, server};

/// Runs the agent until `shutdown`; containers go on running after it. Pods
/// wait for `network`, which can be made only when the node has its range.
///
/// # Errors
/// The node cannot be registered, its port is taken, or its directories
/// cannot be made.
pub async fn run(
    config: Config,
    client: Client,
    runtime: Runtime,
    images: Images,
    network: watch::Receiver<Option<Arc<PodNetwork>>>,
    shutdown: CancellationToken,
) -> Result<()> {
    make_directories(&config)?;
    metrics::tell(&config.node_name);
    let listener = server::bind(&config).await?;
    let machine = Machine::look();
    let (capacity, allocatable) = room_for_pods(&config, &machine);
    let events = Events::new();
    let node_events = NodeEvents::new(&events, &config.node_name);
    let evictor = Evictor::new(config.eviction.clone(), places(&config));
    let keeper = Keeper {
        client: client.clone(),
        config: config.clone(),
        machine: machine.clone(),
        capacity,
        allocatable: allocatable.clone(),
        pressure: evictor.pressure(),
        events: node_events.clone(),
    };
    let registered = keeper.register(&shutdown).await?;
    let found = runtime.sandboxes().await?;
    let node = node::follow(
        client.clone(),
        &config.node_name,
        registered,
        shutdown.clone(),
    );
    let telling = tokio::spawn(events.clone().run(client.clone(), shutdown.clone()));
    let agent = Arc::new(Agent {
        changes: Changes::new(client.clone()),
        services: Services::start(client.clone(), shutdown.clone()),
        events: Recorder::new(&events, &config.node_name),
        ledger: Ledger::default(),
        limits: limits(&machine),
        storage: Storage::new(config.storage_dir.clone()),
        pressure: evictor.pressure(),
        image_garbage: ImageGarbage::new(&config, images.clone(), node_events.clone()),
        node_events,
        jumps: Jumps::watch(),
        pods: Registry::default(),
        network,
        node: node.clone(),
        shutdown: shutdown.clone(),
        config,
        client,
        runtime,
        images,
        allocatable,
    });
    let serving = server::run(agent.clone(), listener);
    let making_room = make_room(evictor, agent.clone(), shutdown.clone());
    let keeping = keeper.keep(node.clone(), shutdown.clone());
    let running = Pods::new(agent, found).run();
    let ((), (), (), served) = tokio::join!(running, keeping, making_room, serving);
    telling.abort();
    served
}

fn places(config: &Config) -> Places {
    Places {
        node: config.data_dir.clone(),
        images: config.images_dir.clone(),
    }
}

/// Keeps the node from being short of anything, until `shutdown`.
async fn make_room(evictor: Evictor, agent: Arc<Agent>, shutdown: CancellationToken) {
    let garbage = agent.image_garbage.clone();
    tokio::select! {
        () = evictor.run(agent) => {}
        () = garbage.run() => {}
        () = shutdown.cancelled() => {}
    }
}

fn make_directories(config: &Config) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let private = |path: &Path| {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
    };
    let pods = dirs::pods(&config.data_dir);
    private(&pods).map_err(|source| Error::Path {
        what: "make the directory",
        path: pods.clone(),
        source,
    })?;
    let storage = Storage::new(config.storage_dir.clone());
    storage.make_root().map_err(|source| Error::Path {
        what: "make the directory",
        path: storage.root().to_owned(),
        source,
    })?;
    let logs = config.log_dir.join("pods");
    std::fs::create_dir_all(&logs).map_err(|source| Error::Path {
        what: "make the directory",
        path: logs,
        source,
    })
}

/// What there is, and what of it pods may have: what evictions keep free is not theirs.
fn room_for_pods(config: &Config, machine: &Machine) -> (Allocatable, Allocatable) {
    let disk = machine::room(&config.data_dir).map_or(0, |room| room.bytes);
    let memory = u64::try_from(machine.memory_bytes).unwrap_or(0);
    let (memory_kept, disk_kept) = config.eviction.kept(memory, disk);
    let amounts = |memory, disk| amounts(config, machine, memory, disk);
    let capacity = amounts(memory, disk);
    let allocatable = amounts(
        memory.saturating_sub(memory_kept),
        disk.saturating_sub(disk_kept),
    );
    (capacity, allocatable)
}

fn amounts(config: &Config, machine: &Machine, memory: u64, disk: u64) -> Allocatable {
    let binary = |bytes: u64| {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        Quantity::from_int(bytes / 1024 * 1024, Format::BinarySi)
    };
    Allocatable(BTreeMap::from([
        ("cpu".to_owned(), Quantity::from_milli(machine.cpus * 1000)),
        ("memory".to_owned(), binary(memory)),
        ("ephemeral-storage".to_owned(), binary(disk)),
        (
            "pods".to_owned(),
            Quantity::from_int(i64::from(config.max_pods), Format::DecimalSi),
        ),
        ("hugepages-1Gi".to_owned(), Quantity::ZERO),
        ("hugepages-2Mi".to_owned(), Quantity::ZERO),
    ]))
}

fn limits(machine: &Machine) -> NodeLimits {
    const SYS_RESOURCE: u32 = 24;
    let capabilities = capabilities::own_bounding_set();
    let own = std::fs::read_to_string("/proc/self/oom_score_adj")
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let may_lower = capabilities >> SYS_RESOURCE & 1 == 1;
    let least_oom_score = if may_lower { -1000 } else { own.unwrap_or(0) };
    NodeLimits {
        memory: machine.memory_bytes,
        capabilities,
        least_oom_score,
    }
}

/// Unmounts and removes all pods' volumes, writable layers and logs: for `skiff
/// reset`, after the runtime has ended every pod.
///
/// # Errors
/// A mount is busy, or the file system refuses.
pub fn remove_everything(data_dir: &Path, log_dir: &Path) -> io::Result<()> {
    dirs::remove(&dirs::pods(data_dir))?;
    dirs::remove(&log_dir.join("pods"))
}

//! The network that joins the nodes: a bridge in a namespace of its own.
//!
//! A thread lives in that namespace, with an executor; what is spawned there
//! makes its sockets there. The namespace has no name and ends with the thread
//! and the nodes.

use std::fs::File;
use std::future::Future;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::Ipv4Net;
use netproxy::{NetworkConfig, PodNetwork};
use nix::sched::{CloneFlags, unshare};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::error::{Error, Result, kernel};

const BRIDGE: &str = "hub0";
const MTU: u32 = 1500;

pub struct Hub {
    network: Arc<PodNetwork>,
    inside: Handle,
    _end: DropGuard,
}

impl Hub {
    /// Makes the network; `state_dir` remembers which node has which address.
    pub async fn open(state_dir: &Path, range: Ipv4Net) -> Result<Self> {
        let (opened, is_open) = oneshot::channel();
        let end = CancellationToken::new();
        let (ended, state_dir) = (end.clone(), state_dir.to_owned());
        std::thread::Builder::new()
            .name("hub".into())
            .spawn(move || live(state_dir, range, opened, ended))
            .map_err(kernel("start a thread"))?;
        let (network, inside) = is_open.await.unwrap_or_else(|_| Err(no_answer()))?;
        Ok(Self {
            network,
            inside,
            _end: end.drop_guard(),
        })
    }

    /// Gives the node, whose network namespace this is, its `eth0`; the same
    /// node gets the same address again.
    pub async fn attach(&self, node: &str, netns: File) -> Result<Ipv4Addr> {
        let (network, node) = (self.network.clone(), node.to_owned());
        let attached = self.spawn(async move { network.attach(&node, netns.as_fd()).await });
        Ok(attached.await.map_err(|_| no_answer())??.ip)
    }

    /// Runs `task` inside the nodes' network.
    pub fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.inside.spawn(task)
    }
}

fn no_answer() -> Error {
    let source = std::io::ErrorKind::BrokenPipe.into();
    let doing = "ask the thread in the nodes' network".into();
    Error::Kernel { doing, source }
}

type Opened = oneshot::Sender<Result<(Arc<PodNetwork>, Handle)>>;

fn live(state_dir: PathBuf, range: Ipv4Net, opened: Opened, end: CancellationToken) {
    let runtime = match enter() {
        Ok(runtime) => runtime,
        Err(error) => return drop(opened.send(Err(error))),
    };
    runtime.block_on(async {
        let config = NetworkConfig {
            bridge: BRIDGE.to_owned(),
            pod_cidr: range,
            cluster_cidr: range,
            node_ip: Ipv4Addr::UNSPECIFIED,
            mtu: Some(MTU),
            state_dir,
        };
        match PodNetwork::open(config).await {
            Ok(network) => {
                let _ = opened.send(Ok((Arc::new(network), Handle::current())));
                end.cancelled().await;
            }
            Err(error) => drop(opened.send(Err(error.into()))),
        }
    });
    runtime.shutdown_background();
}

/// Moves the calling thread, and no other, into a new network namespace.
fn enter() -> Result<tokio::runtime::Runtime> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(kernel("make the nodes' network"))?;
    sys::net::loopback_up().map_err(kernel("bring up lo of the nodes' network"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.map_err(kernel("start an executor in the nodes' network"))
}

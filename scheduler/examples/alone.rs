//! The scheduler in a process of its own, as `kube-scheduler` is: to see what
//! it takes by itself.
//!
//! `alone KUBECONFIG` schedules for the cluster of that kubeconfig until it is
//! terminated. `bench scheduling` starts it.

use std::path::PathBuf;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The one that `skiff` has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).map(PathBuf::from);
    let path = path.ok_or("usage: alone KUBECONFIG")?;
    let kubeconfig = Kubeconfig::read_from(path)?;
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    let shutdown = CancellationToken::new();
    let mut terminated = signal(SignalKind::terminate())?;
    let stop = shutdown.clone();
    tokio::spawn(async move {
        terminated.recv().await;
        stop.cancel();
    });
    let client = Client::try_from(config)?;
    scheduler::run(scheduler::Config::default(), client, shutdown).await?;
    Ok(())
}

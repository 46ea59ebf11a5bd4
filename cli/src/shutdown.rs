//! The signals that end skiff.

use std::time::Duration;

use anyhow::Context;
use kubelet::{MachineStop, ShutdownGrace};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// systemd answers at once, or does not.
const PATIENCE: Duration = Duration::from_secs(5);

/// A token that SIGTERM or SIGINT cancels; a second signal ends at once.
pub fn on_signal() -> anyhow::Result<CancellationToken> {
    on_signal_after(async || ())
}

/// The same on a node. If it is the machine that stops, its pods stop first, as
/// long as they are given; otherwise they go on running.
pub fn on_signal_of_node(
    stop: &MachineStop,
    grace: ShutdownGrace,
) -> anyhow::Result<CancellationToken> {
    let stop = stop.clone();
    on_signal_after(async move || {
        if !grace.all.is_zero() && machine_stops().await {
            stop.begin();
            // A node that has not joined yet has nobody to stop its pods.
            let _ = tokio::time::timeout(grace.all + PATIENCE, stop.done()).await;
        }
    })
}

/// Whether systemd says so; it does from when a shutdown or reboot begins.
async fn machine_stops() -> bool {
    let asked = tokio::process::Command::new("systemctl")
        .arg("is-system-running")
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) => answer.stdout.trim_ascii() == b"stopping",
        // Where there is no systemd, pods end with the machine.
        _ => false,
    }
}

fn on_signal_after<F: Future<Output = ()> + Send>(
    first: impl FnOnce() -> F + Send + 'static,
) -> anyhow::Result<CancellationToken> {
    let mut term = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut int = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let shutdown = CancellationToken::new();
    let ended = shutdown.clone().cancelled_owned();
    tokio::spawn(async move {
        ended.await;
        crate::notify::stopping();
    });
    let token = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        tokio::select! {
            () = first() => {}
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        token.cancel();
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        std::process::exit(1);
    });
    Ok(shutdown)
}

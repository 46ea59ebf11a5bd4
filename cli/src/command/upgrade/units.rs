//! The services that run skiff, as systemd has them.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::process::Command;

const UNITS: [&str; 2] = ["skiff-server.service", "skiff-agent.service"];
/// One that ends soon after it was ready is not.
const SETTLE: Duration = Duration::from_secs(3);

pub trait Units {
    /// Those that run now, in the order to restart them.
    async fn active(&self) -> anyhow::Result<Vec<String>>;
    /// Returns when it says that it is ready.
    async fn restart(&self, unit: &str) -> anyhow::Result<()>;
    /// Returns when it has gone on running for a while.
    async fn ready(&self, unit: &str) -> anyhow::Result<()>;
}

pub struct Systemd;

impl Units for Systemd {
    async fn active(&self) -> anyhow::Result<Vec<String>> {
        // sd_booted(3)
        if !Path::new("/run/systemd/system").is_dir() {
            return Ok(Vec::new());
        }
        let mut active = Vec::new();
        for unit in UNITS {
            let state = show(unit, "ActiveState").await?;
            // One that is failing is what a new version may be for.
            if ["active", "activating", "reloading"].contains(&state.as_str()) {
                active.push(unit.to_owned());
            }
        }
        Ok(active)
    }

    async fn restart(&self, unit: &str) -> anyhow::Result<()> {
        // Failures of the one before must not count.
        systemctl(&["reset-failed", unit]).await.ok();
        let restarted = systemctl(&["restart", unit]).await;
        restarted.with_context(|| format!("restart {unit}; see: journalctl -u {unit}"))?;
        Ok(())
    }

    async fn ready(&self, unit: &str) -> anyhow::Result<()> {
        let first = show(unit, "MainPID").await?;
        tokio::time::sleep(SETTLE).await;
        let state = show(unit, "ActiveState").await?;
        ensure!(
            state == "active",
            "{unit} is {state}; see: journalctl -u {unit}"
        );
        let now = show(unit, "MainPID").await?;
        ensure!(
            first == now,
            "{unit} ended soon after its start; see: journalctl -u {unit}"
        );
        Ok(())
    }
}

async fn show(unit: &str, property: &str) -> anyhow::Result<String> {
    systemctl(&["show", "--value", "--property", property, unit]).await
}

async fn systemctl(args: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("systemctl")
        .args(args)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = output.await.context("run systemctl")?;
    if !output.status.success() {
        bail!(
            "systemctl {}: {}",
            args.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

//! The services that run skiff, as systemd has them.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::process::Command;

use crate::service::{self, Role};

/// One that ends soon after it was ready is not.
const SETTLE: Duration = Duration::from_secs(3);

pub trait Units {
    /// Those that run now.
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
        for unit in Role::ALL.map(Role::unit) {
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

/// The binary of this machine's skiff: the one that its service runs, or else the one that
/// is where it is installed.
///
/// # Errors
/// There is none.
pub async fn installed_binary(units: &impl Units) -> anyhow::Result<PathBuf> {
    for unit in units.active().await? {
        let program = show(&unit, "ExecStart").await?;
        if let Some(program) = program_of(&program) {
            return Ok(program.into());
        }
    }
    let places = [service::BINARY, service::PACKAGED_BINARY];
    let there = places.iter().find(|place| Path::new(place).is_file());
    let there = there.with_context(|| {
        format!(
            "there is neither a skiff service that runs nor a {}, so there is nothing to upgrade; \
             see: skiff install --help, or name the installed binary with --target",
            places.join(" or ")
        )
    });
    Ok(PathBuf::from(there?))
}

/// Of `{ path=/usr/bin/skiff ; argv[]=... }`, as systemd shows what a unit runs.
fn program_of(shown: &str) -> Option<&str> {
    let (_, rest) = shown.split_once("path=")?;
    let (path, _) = rest.split_once(" ;")?;
    path.starts_with('/').then_some(path)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_of_a_unit_is_read_from_what_systemd_shows() {
        let shown = "{ path=/usr/bin/skiff ; argv[]=/usr/bin/skiff agent --config /etc/skiff/config.yaml ; \
                     ignore_errors=no ; start_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }";
        assert_eq!(program_of(shown), Some("/usr/bin/skiff"));
        assert_eq!(program_of(""), None);
    }
}

//! Starting and stopping the process that runs a cluster, and being it.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{ExitCode, Stdio};

use ::cluster::control::{self, Request};
use ::cluster::{Error, Place, Plan, supervisor};
use anyhow::{Context, bail};
use clap::Args;
use tokio::io::AsyncReadExt;

use super::Which;
use crate::log::LogFlags;
use crate::preflight;

/// What the process says once all nodes were started.
const READY: &str = "ready\n";

#[derive(Args)]
pub struct Start {
    #[command(flatten)]
    which: Which,
}

#[derive(Args)]
pub struct Stop {
    #[command(flatten)]
    which: Which,
}

#[derive(Args)]
pub struct Supervise {
    #[command(flatten)]
    log: LogFlags,
    #[command(flatten)]
    which: Which,
}

impl Start {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let place = self.which.place()?;
        start(&place).await?;
        println!("cluster {} runs", place.name());
        Ok(ExitCode::SUCCESS)
    }
}

impl Stop {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let place = self.which.place()?;
        place.read()?;
        if stop(&place).await? {
            println!("cluster {} is stopped", place.name());
        } else {
            println!("cluster {} did not run", place.name());
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Supervise {
    /// Its stdout is read by whoever started it, and let go of once all is said.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        self.log.start()?;
        // From here on it belongs to no terminal and no shell.
        let _ = nix::unistd::setsid();
        let ready = || {
            print!("{READY}");
            let _ = std::io::Write::flush(&mut std::io::stdout());
            let _ = nix::unistd::dup2_stdout(std::io::stderr());
        };
        match supervisor::run(self.which.place()?, ready).await {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(error) => {
                println!("{}", error.chain());
                Err(error.into())
            }
        }
    }
}

/// Starts the cluster's process, and waits until all nodes were started.
pub async fn start(place: &Place) -> anyhow::Result<()> {
    // Here, for a node has no modules that it could load.
    preflight::check_node()?;
    place.read()?;
    drop(supervisor::lock(place)?);
    let program = place.take_program()?;
    let path = place.log();
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&path);
    let mut child = tokio::process::Command::new(&program)
        .args(["cluster", "supervise", "--name", place.name()])
        .arg("--clusters-dir")
        .arg(place.base())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log.with_context(|| format!("open {}", path.display()))?)
        .spawn()
        .with_context(|| format!("run {}", program.display()))?;
    let mut said = String::new();
    let stdout = child.stdout.take().context("its stdout is not piped")?;
    stdout.take(64 << 10).read_to_string(&mut said).await?;
    if said == READY {
        return Ok(());
    }
    let _ = child.wait().await;
    bail!("{}", said.trim());
}

/// Ends the cluster's process and waits for it; says whether there was one.
pub async fn stop(place: &Place) -> anyhow::Result<bool> {
    let was_running = match control::ask(place, &Request::Stop).await {
        Ok(_) => true,
        Err(Error::NotRunning { .. }) => false,
        Err(error) => return Err(error.into()),
    };
    let _lock = supervisor::lock_when_free(place).await?;
    supervisor::remove_groups(place)?;
    Ok(was_running)
}

/// What the nodes of a cluster that did not start had to say.
pub fn last_words(place: &Place, plan: &Plan) -> String {
    const LINES: usize = 5;
    let mut words = "the cluster did not start, and was taken away again".to_owned();
    for node in &plan.nodes {
        let log = std::fs::read_to_string(place.node_log(&node.name)).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        for line in lines.iter().skip(lines.len().saturating_sub(LINES)) {
            words.push_str(&format!("\n  {}: {line}", node.name));
        }
    }
    words
}

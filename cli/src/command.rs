//! The commands, one file each.

mod agent;
mod image;
mod reset;
mod server;
mod token;
mod up;

use std::process::ExitCode;

use clap::Subcommand;
use tracing_subscriber::EnvFilter;

#[derive(Subcommand)]
pub enum Command {
    /// Run a whole cluster on this machine: server and node in one process
    Up(up::Up),
    /// Run the cluster's server: API, store, scheduler and controllers
    Server(server::Server),
    /// Run this machine as a node of a cluster
    Agent(agent::Agent),
    /// Stop all pods of this machine and remove everything skiff ever made here
    Reset(reset::Reset),
    /// Manage the tokens that machines join with
    #[command(subcommand)]
    Token(token::Token),
    /// Manage this machine's images
    #[command(subcommand)]
    Image(image::ImageCommand),
}

/// Runs a command to its end.
pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match command {
            Command::Up(up) => logged(up.run()).await,
            Command::Server(server) => logged(server.run()).await,
            Command::Agent(agent) => logged(agent.run()).await,
            Command::Reset(reset) => reset.run().await,
            Command::Token(token) => token.run().await,
            Command::Image(image) => image.run().await,
        }
    })
}

/// Runs what goes on running, with its log on stderr (`RUST_LOG` chooses how much).
async fn logged(part: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    part.await
}

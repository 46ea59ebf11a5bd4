//! The `skiff` binary: parses flags and starts parts.
//!
//! One file here holds one command ([`command`]); what commands share is
//! beside them. Nothing of Kubernetes itself is decided in this crate.

mod access_flags;
mod addons;
mod client;
mod cluster;
mod cluster_flags;
mod command;
mod control_plane;
mod data_dir;
mod datastore;
mod election;
mod identities;
mod instance;
mod manifest;
mod node;
mod preflight;
mod print;
mod shutdown;
mod terminal;
mod token_file;

use std::process::ExitCode;

use clap::Parser;

/// Half of what a server does under load is making and dropping small values.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The Kubernetes that this skiff serves.
const KUBERNETES_VERSION: &str = concat!("v1.37.0+skiff-", env!("CARGO_PKG_VERSION"));

/// Kubernetes in one binary: a cluster, its nodes and the commands to use it.
#[derive(Parser)]
#[command(name = "skiff", version, propagate_version = true)]
struct Skiff {
    #[command(subcommand)]
    command: command::Command,
}

fn main() -> ExitCode {
    // A pod's monitor is this binary too; it must start small and fast, before
    // anything else here allocates or spawns a thread.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|arg| arg == "monitor")
    {
        return runtime::monitor::main(std::env::args_os().skip(2));
    }
    if let Some(code) = command::oci::taken() {
        return code;
    }
    let skiff = match Skiff::try_parse() {
        Ok(skiff) => skiff,
        Err(usage) => return tell(&usage),
    };
    match command::run(skiff.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{}", command::words(&error));
            ExitCode::FAILURE
        }
    }
}

/// Help goes to stdout and is no error; a mistake ends with 1, as kubectl's does.
fn tell(usage: &clap::Error) -> ExitCode {
    // Whoever closed the pipe does not want to read it.
    let _ = usage.print();
    if usage.use_stderr() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

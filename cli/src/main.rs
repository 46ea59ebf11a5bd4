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
mod config_file;
mod control_plane;
mod data_dir;
mod datastore;
mod election;
mod identities;
mod instance;
mod log;
mod manifest;
mod manifests;
mod node;
mod notify;
mod preflight;
mod print;
mod registries;
mod service;
mod shutdown;
mod started;
mod terminal;
mod token_file;
mod trace_flags;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

/// Half of what a server does under load is making and dropping small values.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Kubernetes in one binary: a cluster, its nodes and the commands to use it.
#[derive(Parser)]
#[command(name = "skiff", version = release::version(), propagate_version = true)]
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
    // And so is what a node of a cluster on this machine is started by.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|arg| arg == ::cluster::launch::COMMAND)
    {
        return ::cluster::launch::main();
    }
    if let Some(code) = command::oci::taken() {
        return code;
    }
    let line = match config_file::own(&command_line()) {
        Ok(line) => line,
        Err(error) => return fail(&error),
    };
    let skiff = match Skiff::try_parse_from(&line.args) {
        Ok(skiff) => skiff,
        Err(usage) => return tell(&usage, &line),
    };
    let ended = command::run(skiff.command);
    traces::stop();
    match ended {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

/// All commands and flags.
fn command_line() -> clap::Command {
    Skiff::command()
}

fn fail(error: &anyhow::Error) -> ExitCode {
    log::last_words(&command::words(error));
    ExitCode::FAILURE
}

/// Help goes to stdout and is no error; a mistake ends with 1, as kubectl's does.
fn tell(usage: &clap::Error, line: &config_file::Line) -> ExitCode {
    // Whoever closed the pipe does not want to read it.
    let _ = usage.print();
    if let Some(source) = line.source_of(usage) {
        eprintln!("\n{source}");
    }
    if usage.use_stderr() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

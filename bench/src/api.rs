//! The loads on the API server.

pub mod create;
mod get;
mod list;
mod memory;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};

use crate::server::Server;

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Pods created, each on disk before it is answered
    Create,
    /// One pod, got again and again
    Get,
    /// All pods, listed
    List,
    /// Changes of ConfigMaps, seen by many watchers
    Watch,
    /// What the server holds in memory with all pods
    Memory,
    All,
}

#[derive(Args)]
pub struct Options {
    #[arg(value_enum, default_value = "all")]
    what: What,

    /// The skiff to measure [default: the one beside this program]
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,

    /// A directory on a real disk, in which the server gets one of its own
    #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
    data_dir: PathBuf,

    /// How many pods are created
    #[arg(long, default_value_t = 28_000)]
    pods: u64,

    /// How many connections create pods; half as many get one
    #[arg(long, default_value_t = 64)]
    connections: usize,

    /// How long one pod is got, and watchers watch
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    seconds: u64,

    /// How many watch
    #[arg(long, default_value_t = 1000)]
    watchers: usize,

    /// How many changes a second they see
    #[arg(long, default_value_t = 1000)]
    events: u32,

    /// More arguments for `skiff server`
    #[arg(last = true)]
    server: Vec<String>,
}

impl Options {
    fn time(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    fn wants(&self, what: What) -> bool {
        self.what == what || self.what == What::All
    }

    fn binary(&self) -> anyhow::Result<PathBuf> {
        match &self.binary {
            Some(binary) => Ok(binary.clone()),
            None => {
                let own = std::env::current_exe().context("find this program's own file")?;
                Ok(own.with_file_name("skiff"))
            }
        }
    }
}

/// Starts a server, plays what is wanted against it, and prints the figures.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let server = Server::start(&options.binary()?, &options.data_dir, &options.server)?;
    let own: Vec<String> = std::env::args().collect();
    println!("$ {}", own.join(" "));
    println!("  {}", server.command);
    let needs_pods = !matches!(options.what, What::Watch);
    if needs_pods {
        let figures = create::run(&server, options)?;
        if options.wants(What::Create) {
            figures.print();
        }
    }
    if options.wants(What::Memory) {
        memory::run(&server, options)?;
    }
    if options.wants(What::List) {
        list::run(&server, options)?;
    }
    if options.wants(What::Get) {
        get::run(&server, options)?;
    }
    if options.wants(What::Watch) {
        watch::run(&server, options)?;
    }
    let usage = server.usage()?;
    println!("at the end {} MB resident", usage.resident_kib / 1024);
    Ok(())
}

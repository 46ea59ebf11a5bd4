//! The scheduler and the controllers at scale.

mod deployments;
mod hold;
mod place;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Pods that wait, put on nodes that are objects only
    Place,
    /// Hollow nodes full of pods: until all are ready, at rest, and a rollout
    Hold,
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

    /// How many pods wait
    #[arg(long, default_value_t = 28_000)]
    pods: u64,

    /// How many nodes they wait for
    #[arg(long, default_value_t = 500)]
    nodes: u64,

    /// How many hollow nodes are held, one after the other
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "1000,5000",
        value_name = "N,..."
    )]
    hollow: Vec<u64>,

    /// How many pods each hollow node gets
    #[arg(long, default_value_t = 30)]
    pods_each: u64,

    /// How long it settles, and then how long it is looked at, when all pods are ready
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    seconds: u64,

    /// More arguments for `skiff server`
    #[arg(last = true)]
    server: Vec<String>,
}

/// Starts servers, gives them much to do, and prints the figures.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let own: Vec<String> = std::env::args().collect();
    println!("$ {}", own.join(" "));
    if options.what != What::Hold {
        place::run(options)?;
    }
    if options.what != What::Place {
        hold::run(options)?;
    }
    Ok(())
}

impl Options {
    fn binary(&self) -> anyhow::Result<PathBuf> {
        match &self.binary {
            Some(binary) => Ok(binary.clone()),
            None => beside("skiff".as_ref()),
        }
    }

    /// The scheduler as a program, if it was built.
    fn scheduler(&self) -> anyhow::Result<Option<PathBuf>> {
        let program = beside("examples/alone".as_ref())?;
        Ok(Some(program).filter(|program| program.exists()))
    }
}

fn beside(name: &Path) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("find this program's own file")?;
    Ok(own.with_file_name(name))
}

/// How busy the machine was in the last minute; other work makes other figures.
fn load() -> anyhow::Result<String> {
    let text = std::fs::read_to_string("/proc/loadavg")?;
    Ok(text.split(' ').next().unwrap_or_default().to_owned())
}

//! The OCI runtime, beside others of the machine.
//!
//! Everything is measured from the command line, as callers use it, on one
//! bundle: `spec`'s configuration and busybox. It works in a mount namespace of
//! its own without `/sys/fs/cgroup/unified`, which crun 1.8 cannot do with on
//! hybrid hosts. To be run as root.

mod bundle;
mod memory;
mod speed;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use clap::Args;

use bundle::Bundle;

#[derive(Args)]
pub struct Options {
    /// The skiff to measure [default: the one beside this program]
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,

    /// How many times each runtime runs a container, one runtime after the other in turns
    #[arg(long, default_value_t = 100)]
    rounds: usize,

    /// How many containers there are at once
    #[arg(long, default_value_t = 500)]
    containers: usize,

    /// Runtimes to measure beside it, as command lines
    #[arg(long, value_delimiter = ',', default_value = "crun,runc")]
    beside: Vec<String>,
}

/// The peak of one run, for [`run`], which calls this program again: the kernel tells it of all children together.
#[derive(Args)]
pub struct Peak {
    bundle: PathBuf,
    runtime: Vec<String>,
}

/// A runtime's command line.
#[derive(Clone)]
struct Runtime(Vec<String>);

impl Runtime {
    fn name(&self) -> String {
        match self.0.as_slice() {
            [program, oci] if oci == "oci" => {
                let name = Path::new(program).file_name().unwrap_or_default();
                format!("{} oci", name.to_string_lossy())
            }
            words => words.join(" "),
        }
    }

    fn is_installed(&self) -> bool {
        let program = self.0.first().map_or("", String::as_str);
        let asked = Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        asked.is_ok_and(|status| status.success())
    }

    /// The command line about the state in `bundle`.
    fn command(&self, bundle: &Path) -> anyhow::Result<Command> {
        let (program, words) = self.0.split_first().context("an empty command line")?;
        let mut command = Command::new(program);
        command.args(words).arg("--root").arg(bundle.join("state"));
        // What a caller of a created container has open, the container keeps.
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Ok(command)
    }

    /// Runs a command of it to its end.
    fn call(&self, bundle: &Path, args: &[&str]) -> anyhow::Result<()> {
        let mut command = self.command(bundle)?;
        let status = command.args(args).status()?;
        if !status.success() {
            bail!("{} {}: {status}", self.name(), args.join(" "));
        }
        Ok(())
    }
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None => std::env::current_exe()
            .context("find this program's own file")?
            .with_file_name("skiff"),
    };
    let own: Vec<String> = std::env::args().collect();
    println!("$ {}", own.join(" "));
    bundle::hide_unified()?;
    let skiff = Runtime(vec![binary.display().to_string(), "oci".into()]);
    let words = |line: &String| line.split_whitespace().map(str::to_owned).collect();
    let mut runtimes = vec![skiff.clone()];
    runtimes.extend(options.beside.iter().map(|line| Runtime(words(line))));
    runtimes.retain(|runtime| {
        let is_there = runtime.is_installed();
        if !is_there {
            println!("{}: not installed, so not measured", runtime.name());
        }
        is_there
    });
    let bundle = Bundle::make(&skiff)?;
    speed::in_turns(&runtimes, options.rounds, &bundle)?;
    memory::peaks(&runtimes, &bundle)?;
    memory::monitor(&binary, &bundle)?;
    speed::many(&runtimes, options.containers, &bundle)
}

pub fn peak(options: &Peak) -> anyhow::Result<()> {
    memory::tell_peak(&Runtime(options.runtime.clone()), &options.bundle)
}

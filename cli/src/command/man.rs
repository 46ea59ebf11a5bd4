use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

/// `skiff man`: the manual, made from the flags themselves; packages have it.
#[derive(Args)]
pub struct Man {
    /// An existing directory to write skiff.1, skiff-get.1 and all others to
    dir: PathBuf,
}

impl Man {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let written = clap_mangen::generate_to(crate::command_line(), &self.dir);
        written.with_context(|| format!("write the manual to {}", self.dir.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use clap_complete::Shell;

/// `skiff completion`: for `source <(skiff completion bash)`.
#[derive(Args)]
pub struct Completion {
    /// The shell that is to complete
    shell: Shell,
}

impl Completion {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut crate::command_line(), "skiff", &mut script);
        let written = std::io::stdout().write_all(&script);
        written.context("print the completions")?;
        Ok(ExitCode::SUCCESS)
    }
}

use std::process::ExitCode;

use anyhow::ensure;
use clap::Args;

use super::session::Target;
use crate::cluster::text;

/// `skiff exec`: run a command in a container.
#[derive(Args)]
pub struct Exec {
    #[command(flatten)]
    target: Target,

    /// A command without -- before it, which is refused with advice
    #[arg(hide = true)]
    misplaced: Vec<String>,

    /// What to run, after --
    #[arg(last = true)]
    command: Vec<String>,
}

impl Exec {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        ensure!(
            self.misplaced.is_empty(),
            "exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead: \
             skiff exec {} -- {}",
            self.target.what,
            self.misplaced.join(" ")
        );
        ensure!(
            !self.command.is_empty(),
            "you must specify at least one command for the container, after --"
        );
        let session = self.target.find().await?;
        let phase = text(&session.pod, "/status/phase");
        ensure!(
            !["Succeeded", "Failed"].contains(&phase),
            "cannot exec into a container in a completed pod; current phase is {phase}"
        );
        let code = session.exec(&self.command).await?;
        if code != 0 {
            eprintln!("command terminated with exit code {code}");
        }
        // A blocked read of stdin would keep this process from ending.
        std::process::exit(code);
    }
}

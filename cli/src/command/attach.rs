use std::process::ExitCode;

use clap::Args;

use super::session::Target;

/// `skiff attach`: join the process of a container.
#[derive(Args)]
pub struct Attach {
    #[command(flatten)]
    target: Target,

    /// Say nothing of our own
    #[arg(short, long)]
    quiet: bool,
}

impl Attach {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let session = self.target.find().await?;
        if !self.quiet {
            eprintln!("If you don't see a command prompt, try pressing enter.");
        }
        session.attach().await?;
        // A blocked read of stdin would keep this process from ending.
        std::process::exit(0);
    }
}

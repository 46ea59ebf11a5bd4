//! `skiff upgrade`: another skiff in the place of the installed one, and back
//! if it does not come up.
//!
//! The new file is checked before anything changes, takes the old one's place
//! in one `rename`, and the daemons are restarted under systemd. Containers go
//! on running meanwhile: their monitors are programs of their own.

mod binary;
mod swap;
mod units;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use release::Version;

use self::swap::Swap;
use self::units::{Systemd, Units};
use crate::print;

#[derive(Args)]
pub struct Upgrade {
    /// The skiff to install
    #[arg(long, value_name = "FILE")]
    binary: PathBuf,

    /// The installed one [default: the one that the service runs]
    #[arg(long, value_name = "FILE")]
    target: Option<PathBuf>,

    /// How long a restarted daemon may take to be ready
    #[arg(long, default_value = "90s", value_name = "DURATION", value_parser = crate::cluster_flags::parse_duration)]
    timeout: Duration,

    /// Install an older version
    #[arg(long)]
    allow_downgrade: bool,

    /// Put the file in its place and restart nothing
    #[arg(long)]
    no_restart: bool,

    /// Check the file, and change nothing
    #[arg(long)]
    check: bool,
}

impl Upgrade {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let target = match &self.target {
            Some(target) => target.clone(),
            None => units::installed_binary(&Systemd).await?,
        };
        ensure!(
            target.is_file(),
            "{} is not there, so there is nothing to upgrade; see: skiff install --help",
            target.display()
        );
        binary::check_machine(&self.binary)?;
        let swap = Swap::stage(&self.binary, &target)?;
        let result = self.install(&swap, &Systemd).await;
        swap.clean();
        result
    }

    async fn install(&self, swap: &Swap, units: &impl Units) -> anyhow::Result<ExitCode> {
        // The copy is asked, so what is installed is what was checked.
        let new = binary::version_of(swap.staged()).await?;
        let old = binary::version_of(swap.target()).await?;
        self.check_skew(old, new)?;
        if self.check {
            print::out(&format!("skiff {old} can be upgraded to skiff {new}\n"));
            return Ok(ExitCode::SUCCESS);
        }
        swap.put()?;
        print::out(&format!(
            "{}: skiff {old} replaced by skiff {new}; the old one is {}\n",
            swap.target().display(),
            swap.kept().display()
        ));
        if self.no_restart {
            return Ok(ExitCode::SUCCESS);
        }
        let active = units.active().await?;
        if active.is_empty() {
            print::out(
                "no skiff service runs here; what runs otherwise must be restarted by hand\n",
            );
        }
        let Err(error) = self.restart(units, &active).await else {
            return Ok(ExitCode::SUCCESS);
        };
        eprintln!("error: {error:#}");
        swap.back().context("put the old skiff back")?;
        self.restart(units, &active)
            .await
            .with_context(|| format!("the old skiff {old} is back in its place, but"))?;
        bail!("skiff {new} did not come up; skiff {old} is back and runs")
    }

    async fn restart(&self, units: &impl Units, active: &[String]) -> anyhow::Result<()> {
        for unit in active {
            let ready = async {
                units.restart(unit).await?;
                units.ready(unit).await
            };
            match tokio::time::timeout(self.timeout, ready).await {
                Ok(ready) => ready?,
                Err(_) => bail!(
                    "{unit} is not ready after {:?}; see: journalctl -u {unit}",
                    self.timeout
                ),
            }
            print::out(&format!("{unit} is restarted and ready\n"));
        }
        Ok(())
    }

    fn check_skew(&self, old: Version, new: Version) -> anyhow::Result<()> {
        ensure!(
            old.major == new.major && old.minor.abs_diff(new.minor) <= 1,
            "skiff {new} is more than one minor version away from the installed skiff {old}; go there step by step"
        );
        ensure!(
            new >= old || self.allow_downgrade,
            "skiff {new} is older than the installed skiff {old}; --allow-downgrade installs it all the same"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests;

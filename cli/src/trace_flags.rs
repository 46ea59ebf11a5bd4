//! Where traces go, if anywhere.

use std::path::PathBuf;

use clap::Args;

#[derive(Args, Clone, Debug)]
pub struct TraceFlags {
    /// A TracingConfiguration: where to send traces by OpenTelemetry, and how many [default: none are made]
    #[arg(long, value_name = "FILE")]
    tracing_config_file: Option<PathBuf>,
}

impl TraceFlags {
    /// Has this process tell of itself: its metrics, and, where it was told to,
    /// its traces as `service`'s.
    pub fn start(&self, service: &'static str) -> anyhow::Result<()> {
        metrics::process::tell(release::kubernetes());
        let Some(path) = &self.tracing_config_file else {
            return Ok(());
        };
        let config = traces::Config::read(path)?;
        let host = nix::unistd::gethostname()?;
        traces::start(&config, service, &host.to_string_lossy())?;
        tracing::info!(endpoint = config.endpoint, "traces are sent");
        Ok(())
    }
}

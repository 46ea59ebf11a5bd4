//! An agent that starts one container and then only waits to be killed: for the crate's own tests.
//!
//! Arguments: run directory, cgroup root, monitor program, a file with the container.
//! Prints the container's pid as four bytes.

use std::io::Write;

use runtime::{Config, MonitorProgram, Runtime};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [run_dir, cgroup_root, monitor, container] = &args[..] else {
        return Err("four arguments".into());
    };
    let mut config = Config::new(run_dir, cgroup_root);
    config.monitor = MonitorProgram {
        exe: monitor.into(),
        args: Vec::new(),
    };
    let sandboxes = Runtime::open(config)?.sandboxes().await?;
    let sandbox = sandboxes.first().ok_or("no sandbox")?;
    let mut events = sandbox.events().await?;
    let started = sandbox
        .start(serde_json::from_slice(&std::fs::read(container)?)?)
        .await?;
    std::io::stdout().write_all(&started.pid.to_le_bytes())?;
    std::io::stdout().flush()?;
    loop {
        events.next().await?;
    }
}

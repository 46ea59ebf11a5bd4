//! Measures a sandbox and a container of `/bin/true`: create, start, wait, delete.
//!
//! Run as root: `cargo run -p runtime --example start [rounds]`. It is its own monitor.

use std::path::Path;
use std::time::{Duration, Instant};

use runtime::{
    Config, ContainerConfig, ContainerId, Event, MonitorProgram, Rootfs, Runtime, SandboxConfig,
    Stdin,
};

type Error = Box<dyn std::error::Error>;

fn main() -> std::process::ExitCode {
    if std::env::args().nth(1).as_deref() == Some("monitor") {
        return runtime::monitor::main(std::env::args_os().skip(2));
    }
    match run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run() -> Result<(), Error> {
    let rounds = std::env::args()
        .nth(1)
        .map_or(Ok(50), |n| n.parse::<usize>())?;
    let dir = std::env::temp_dir().join(format!("skiff-start-{}", std::process::id()));
    let image = dir.join("image");
    std::fs::create_dir_all(image.join("bin"))?;
    std::fs::copy("/bin/busybox", image.join("bin/true"))?;
    let mut config = Config::new(
        dir.join("run"),
        format!("skiff-start-{}", std::process::id()),
    );
    config.monitor = MonitorProgram::default();
    let runtime = Runtime::open(config)?;
    let measured = measure(&runtime, &dir, &image, rounds).await;
    runtime.remove_everything().await?;
    std::fs::remove_dir_all(&dir)?;
    measured
}

async fn measure(runtime: &Runtime, dir: &Path, image: &Path, rounds: usize) -> Result<(), Error> {
    let mut times = Vec::new();
    for round in 0..rounds {
        times.push(once(runtime, dir, image, round).await?);
    }
    for (name, pick) in [
        ("sandbox", (|t| t[0]) as fn(&[Duration; 4]) -> Duration),
        ("create + start", |t| t[1]),
        ("until its exit is told", |t| t[2]),
        ("remove + destroy", |t| t[3]),
        ("all", |t| t.iter().sum()),
    ] {
        let mut column: Vec<_> = times.iter().map(pick).collect();
        column.sort();
        println!(
            "{name:24} p50 {:>9.2?}  p90 {:>9.2?}",
            column[rounds / 2],
            column[rounds * 9 / 10]
        );
    }
    Ok(())
}

async fn once(
    runtime: &Runtime,
    dir: &Path,
    image: &Path,
    round: usize,
) -> Result<[Duration; 4], Error> {
    let layers = dir.join(format!("layers{round}"));
    for sub in ["upper", "work"] {
        std::fs::create_dir_all(layers.join(sub))?;
    }
    let began = Instant::now();
    let uid = format!("pod{round}");
    let config = SandboxConfig {
        cgroup_parent: Path::new("kubepods").join(&uid),
        uid,
        hostname: "bench".into(),
        ..SandboxConfig::default()
    };
    let sandbox = runtime.create_sandbox(config).await?;
    let made = Instant::now();
    let mut events = sandbox.events().await?;
    let id = ContainerId::new("true")?;
    let container = ContainerConfig {
        id: id.clone(),
        spec: runtime::defaults::spec(vec!["/bin/true".into()]),
        rootfs: Rootfs::Overlay {
            lower: vec![image.into()],
            upper: layers.join("upper"),
            work: layers.join("work"),
        },
        log_path: None,
        stdin: Stdin::Closed,
        labels: Default::default(),
    };
    sandbox.start(container).await?;
    let started = Instant::now();
    let Event::Exited { exit, .. } = events.next().await?;
    assert_eq!(exit.code, 0, "true fails");
    let ended = Instant::now();
    sandbox.remove(&id).await?;
    sandbox.destroy().await?;
    Ok([
        made - began,
        started - made,
        ended - started,
        ended.elapsed(),
    ])
}

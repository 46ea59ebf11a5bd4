//! What a runtime's process has in memory at most, and what a pod's monitor keeps.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use nix::sys::resource::{UsageWho, getrusage};
use runtime::{
    Config, ContainerConfig, ContainerId, MonitorProgram, Rootfs, SandboxConfig, Stdin, defaults,
};

use super::Runtime;
use super::bundle::Bundle;

/// How many containers the monitor has.
const CONTAINERS: usize = 3;

pub fn peaks(runtimes: &[Runtime], bundle: &Bundle) -> anyhow::Result<()> {
    println!("\npeak memory of a run's largest process, KiB (goal 4,096)");
    for runtime in runtimes {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("runtime-peak").arg(bundle.path()).arg("--");
        let output = command.args(&runtime.0).stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            bail!("measure the peak of {}", runtime.name());
        }
        let peak = String::from_utf8(output.stdout)?;
        println!("{:<16}{:>8}", runtime.name(), peak.trim());
    }
    Ok(())
}

/// In a process that has no other children.
pub fn tell_peak(runtime: &Runtime, bundle: &Path) -> anyhow::Result<()> {
    let mut command = runtime.command(bundle)?;
    command.args(["run", "--bundle"]).arg(bundle).arg("peak");
    // Has the standard library fork: a child of vfork(2) is charged with our own memory.
    command.uid(0);
    if !command.status()?.success() {
        bail!("{} run", runtime.name());
    }
    println!("{}", getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss());
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
pub async fn monitor(binary: &Path, bundle: &Bundle) -> anyhow::Result<()> {
    let name = format!("skiff-bench-{}", std::process::id());
    let mut config = Config::new(bundle.path().join("run"), &name);
    config.monitor = MonitorProgram {
        exe: binary.to_owned(),
        args: vec!["monitor".into()],
    };
    let node = runtime::Runtime::open(config)?;
    let measured = measure(&node, bundle).await;
    node.remove_everything().await?;
    let (own, shared) = measured?;
    println!("\nmonitor of a pod of {CONTAINERS} containers, KiB (goal 1,024 of its own)");
    println!(
        "{:<16}{own:>8} of its own, {shared} of the program's file",
        "skiff monitor"
    );
    Ok(())
}

async fn measure(node: &runtime::Runtime, bundle: &Bundle) -> anyhow::Result<(u64, u64)> {
    let config = SandboxConfig {
        uid: "bench".into(),
        cgroup_parent: "kubepods/bench".into(),
        ..SandboxConfig::default()
    };
    let sandbox = node.create_sandbox(config).await?;
    for number in 0..CONTAINERS {
        let container = ContainerConfig {
            id: ContainerId::new(format!("c{number}"))?,
            spec: defaults::spec(vec!["/bin/sleep".into(), "1000".into()]),
            rootfs: Rootfs::Dir(bundle.path().join("rootfs")),
            log_path: Some(bundle.path().join(format!("{number}.log"))),
            stdin: Stdin::Closed,
            labels: Default::default(),
        };
        sandbox.start(container).await?;
    }
    let pid = sandbox.monitor_pid().context("the monitor has ended")?;
    let usage = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let kib = |key: &str| {
        let line = usage.lines().find_map(|line| line.strip_prefix(key));
        let number = line.and_then(|rest| rest.split_whitespace().next());
        number
            .and_then(|n| n.parse::<u64>().ok())
            .with_context(|| format!("no {key} in smaps_rollup"))
    };
    let (own, all) = (kib("Anonymous:")?, kib("Rss:")?);
    sandbox.destroy().await?;
    Ok((own, all.saturating_sub(own)))
}

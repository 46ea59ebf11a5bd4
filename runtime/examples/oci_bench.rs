//! Measures OCI runtimes side by side: `run` of `/bin/true`, one after the other in turns.
//!
//! Run as root: `oci_bench [rounds] [runtime...]`, a runtime being a command
//! line such as `"target/release/skiff oci"`; with none given it is itself, crun
//! and runc. It works in a mount namespace of its own without
//! `/sys/fs/cgroup/unified`, which crun 1.8 cannot do with on hybrid hosts.

use std::error::Error;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{UsageWho, getrusage};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How many containers in a row show whether they get slower.
const ROW: usize = 500;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.first().map(String::as_str) {
        Some("oci") => {
            return runtime::oci::main("skiff", args.into_iter().skip(1).map(Into::into));
        }
        Some("peak") => peak(&args[1], Path::new(&args[2])),
        _ => measure_all(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

fn measure_all(args: &[String]) -> Result<()> {
    let rounds = args.first().map_or(Ok(100), |n| n.parse::<usize>())?;
    let exe = std::env::current_exe()?;
    let own = format!("{} oci", exe.display());
    let known = [own, "crun".to_owned(), "runc".to_owned()];
    let runtimes = args.get(1..).filter(|r| !r.is_empty()).unwrap_or(&known);
    hide_unified()?;
    let dir = std::env::temp_dir().join(format!("oci-bench-{}", std::process::id()));
    let measured = make_bundle(&dir).and_then(|()| measure(runtimes, rounds, &dir));
    std::fs::remove_dir_all(&dir)?;
    measured
}

fn hide_unified() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let private = MsFlags::MS_PRIVATE | MsFlags::MS_REC;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
    // Where there is none there is nothing to hide.
    let _ = umount2("/sys/fs/cgroup/unified", MntFlags::MNT_DETACH);
    Ok(())
}

/// A root file system of busybox, and `runc spec`'s configuration.
fn make_bundle(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir.join("rootfs/bin"))?;
    std::fs::copy("/bin/busybox", dir.join("rootfs/bin/true"))?;
    let exe = std::env::current_exe()?;
    let made = Command::new(exe)
        .args(["oci", "spec", "--bundle"])
        .arg(dir)
        .status()?;
    if !made.success() {
        return Err("make a config.json".into());
    }
    let path = dir.join("config.json");
    let mut spec: serde_json::Value = serde_json::from_slice(&std::fs::read(&path)?)?;
    // crun 1.8 knows no newer one.
    spec["ociVersion"] = "1.0.0".into();
    spec["process"]["terminal"] = false.into();
    spec["process"]["args"] = serde_json::json!(["/bin/true"]);
    Ok(std::fs::write(path, serde_json::to_vec(&spec)?)?)
}

fn measure(runtimes: &[String], rounds: usize, dir: &Path) -> Result<()> {
    let mut times = vec![Vec::new(); runtimes.len()];
    for round in 0..rounds + 5 {
        for (runtime, times) in runtimes.iter().zip(&mut times) {
            let time = once(runtime, dir)?;
            // The first few fill caches.
            if round >= 5 {
                times.push(time);
            }
        }
    }
    println!("run of /bin/true, {rounds} rounds in turns, ms");
    println!(
        "{:<40}{:>8}{:>8}{:>8}{:>10}",
        "", "least", "median", "p95", "peak KiB"
    );
    for (runtime, times) in runtimes.iter().zip(&mut times) {
        times.sort();
        let at = |part: usize| ms(times[(times.len() * part / 100).min(times.len() - 1)]);
        let peak = peak_of(runtime, dir)?;
        println!(
            "{runtime:<40}{:>8.2}{:>8.2}{:>8.2}{peak:>10}",
            at(0),
            at(50),
            at(95)
        );
    }
    println!("\n{ROW} in a row, ms each: the first and the last fifty");
    for runtime in runtimes {
        let times = (0..ROW)
            .map(|_| once(runtime, dir))
            .collect::<Result<Vec<_>>>()?;
        let mean = |times: &[Duration]| ms(times.iter().sum::<Duration>()) / 50.0;
        println!(
            "{runtime:<40}{:>8.2}{:>8.2}",
            mean(&times[..50]),
            mean(&times[ROW - 50..])
        );
    }
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn once(runtime: &str, dir: &Path) -> Result<Duration> {
    let mut words = runtime.split_whitespace();
    let mut command = Command::new(words.next().ok_or("an empty command line")?);
    command.args(words).arg("--root").arg(dir.join("state"));
    command.args(["run", "--bundle"]).arg(dir).arg("bench");
    command.stdin(Stdio::null());
    let begin = Instant::now();
    let status = command.status()?;
    let time = begin.elapsed();
    match status.success() {
        true => Ok(time),
        false => Err(format!("{runtime}: {status}").into()),
    }
}

/// The most memory a run had at once, by a process that has no other children.
fn peak_of(runtime: &str, dir: &Path) -> Result<i64> {
    let mut command = Command::new(std::env::current_exe()?);
    let output = command.arg("peak").arg(runtime).arg(dir).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

fn peak(runtime: &str, dir: &Path) -> Result<()> {
    once(runtime, dir)?;
    println!("{}", getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss());
    Ok(())
}

//! A program that runs beside the bench, and what it uses.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A running program, stopped when dropped.
pub struct Process {
    child: Child,
    /// What it was started with, for the record.
    pub command: String,
    log: PathBuf,
}

/// What a process has used so far.
#[derive(Clone, Copy)]
pub struct Usage {
    pub resident_kib: u64,
    /// The most it was.
    pub peak_kib: u64,
    pub cpu: Duration,
}

impl Process {
    pub fn start(
        program: &Path,
        args: impl IntoIterator<Item = OsString>,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.args(args);
        let shown = format!("{command:?}").replace('"', "");
        let file = std::fs::File::create(log)?;
        let child = command.stdout(Stdio::piped()).stderr(file).spawn();
        Ok(Self {
            child: child.with_context(|| format!("start {}", program.display()))?,
            command: shown,
            log: log.to_owned(),
        })
    }

    /// Until it says that it is ready.
    pub fn wait_for_a_line(&mut self) -> anyhow::Result<()> {
        let output = self.child.stdout.as_mut().context("its output is taken")?;
        let mut line = String::new();
        if BufReader::new(output).read_line(&mut line)? == 0 {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            bail!("it ended: {log}");
        }
        Ok(())
    }

    pub fn usage(&self) -> anyhow::Result<Usage> {
        usage(self.child.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

pub fn stop(process: &mut Child) {
    let pid = Pid::from_raw(process.id().cast_signed());
    let _ = kill(pid, Signal::SIGTERM);
    let deadline = Instant::now() + STOP_LIMIT;
    while Instant::now() < deadline {
        if !matches!(process.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = process.kill();
    let _ = process.wait();
}

pub fn usage(pid: u32) -> anyhow::Result<Usage> {
    let proc = PathBuf::from(format!("/proc/{pid}"));
    let status = std::fs::read_to_string(proc.join("status")).context("read its status")?;
    let kib = |name: &str| -> anyhow::Result<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|text| text.split_whitespace().next());
        Ok(number.with_context(|| format!("no {name}"))?.parse()?)
    };
    let stat = std::fs::read_to_string(proc.join("stat"))?;
    // After the name in parentheses: utime and stime are the 12th and 13th.
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum();
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)?.unwrap_or(100);
    Ok(Usage {
        resident_kib: kib("VmRSS:")?,
        peak_kib: kib("VmHWM:")?,
        cpu: Duration::from_secs_f64(ticks as f64 / per_second as f64),
    })
}

//! The runtime under strace, which counts its calls or makes one of them fail.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::fault::Fault;

/// A call that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// The container's program; what it does is not the runtime's doing.
pub const PROGRAM: &str = "/bin/cat";

/// A call of the runtime that has ended.
pub struct Ended {
    status: ExitStatus,
    out: PathBuf,
    err: PathBuf,
    log: PathBuf,
    /// How many calls had failed when it ended.
    hits: usize,
}

/// Runs `command` with strace beside it; its output goes to files in `dir`.
///
/// It stays our own child (`-D`), so that its end is seen though its container, traced too, lives on.
pub fn run(command: &Command, fault: Option<&Fault>, dir: &Path) -> Result<Ended, String> {
    let [out, err, log] = ["out", "err", "strace"].map(|name| dir.join(name));
    for file in [&out, &err, &log] {
        // New files: who wrote to the last ones may still do so.
        let _ = fs::remove_file(file);
    }
    let mut strace = Command::new("strace");
    strace.args(["-D", "-f", "-qqq", "-o"]).arg(&log);
    if let Some(fault) = fault {
        let traced = format!("trace=execve,{}", fault.call);
        let injected = format!("inject={}", fault.injection());
        strace.args(["-e", &traced, "-e", &injected]);
    }
    strace.env("RUST_BACKTRACE", "0");
    strace.arg(command.get_program()).args(command.get_args());
    let create = |path| File::create(path).expect("create a file for output");
    strace
        .stdin(Stdio::null())
        .stdout(create(&out))
        .stderr(create(&err));
    let status = wait(&mut strace)?;
    let hits = hits(lines(&read(&log)));
    Ok(Ended {
        status,
        out,
        err,
        log,
        hits,
    })
}

fn wait(command: &mut Command) -> Result<ExitStatus, String> {
    let mut child = command.spawn().expect("strace is installed");
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return Ok(status);
        }
        if Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            return Err("it hangs".to_owned());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

impl Ended {
    pub fn succeeded(&self) -> bool {
        self.status.success()
    }

    /// It ended by itself.
    pub fn has_code(&self) -> bool {
        self.status
            .code()
            .is_some_and(|code| code < 128 || code == 255)
    }

    /// What its container has written until now.
    pub fn said(&self) -> String {
        read(&self.out)
    }

    pub fn complained(&self) -> String {
        read(&self.err)
    }

    pub fn told(&self) -> String {
        let said = self.complained();
        format!("{}, {:?}", self.status, said.trim())
    }

    /// How often one of the runtime's processes made each call, at most.
    pub fn calls(&self) -> BTreeMap<String, u32> {
        let mut counts = BTreeMap::<(u32, &str), u32>::new();
        let log = read(&self.log);
        for line in runtimes_lines(&log) {
            if let Some(call) = line.call {
                *counts.entry((line.pid, call)).or_default() += 1;
            }
        }
        let mut most = BTreeMap::new();
        for ((_, call), count) in counts {
            let most = most.entry(call.to_owned()).or_insert(0);
            *most = count.max(*most);
        }
        most
    }

    /// Whether the fault, or one of them, hit the runtime, and not only the container's program;
    /// or somebody was killed.
    pub fn was_hit(&self) -> bool {
        let log = read(&self.log);
        hits(runtimes_lines(&log)) > 0 || log.contains("+++ killed by SIGKILL +++")
    }

    /// Whether until now the container's program was hit, or its process after this call: it may do then what it likes.
    pub fn was_container_hit(&self) -> bool {
        let log = read(&self.log);
        let all = hits(lines(&log));
        all > self.hits || all > hits(runtimes_lines(&log))
    }

    /// Whether it was words of the runtime that could not be written.
    pub fn was_silenced(&self) -> bool {
        let log = read(&self.log);
        lines(&log).any(|line| line.is_hit() && line.text.starts_with("write(2,"))
    }
}

fn hits<'l>(lines: impl Iterator<Item = Line<'l>>) -> usize {
    lines.filter(Line::is_hit).count()
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

struct Line<'l> {
    pid: u32,
    /// The call that begins here.
    call: Option<&'l str>,
    text: &'l str,
}

impl Line<'_> {
    fn is_hit(&self) -> bool {
        self.text.contains("(INJECTED)")
    }
}

fn lines(log: &str) -> impl Iterator<Item = Line<'_>> {
    log.lines().filter_map(|line| {
        let (pid, text) = line.split_once(' ')?;
        let text = text.trim_start();
        let call = text.split_once('(').map(|(call, _)| call);
        let is_name = |call: &&str| call.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        Some(Line {
            pid: pid.parse().ok()?,
            call: call.filter(is_name),
            text,
        })
    })
}

/// Those of processes that have not become the container's program.
fn runtimes_lines(log: &str) -> impl Iterator<Item = Line<'_>> {
    let program = format!("execve(\"{PROGRAM}\"");
    let mut programs = HashSet::new();
    lines(log).filter(move |line| {
        if programs.contains(&line.pid) {
            return false;
        }
        if line.text.starts_with(&program) && !line.is_hit() {
            programs.insert(line.pid);
        }
        true
    })
}

//! Bare machines made of namespaces: a network and a place for files of their own, this machine's programs.
//!
//! `/etc` is a copy; `/root`, `/run`, `/tmp`, `/var/lib`, `/var/log` and `/usr/local/bin` are empty but for skiff. All that
//! runs there ends with its process 1, and its files are in memory. See `room.sh`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use e2e::{Network, skiff, sweep, vm};

use crate::internet::{self, Internet};
use crate::page::{Page, Place, Run};
use crate::script;

/// Of one run, on a machine that has more to do.
const LIMIT: Duration = Duration::from_secs(240);

/// Runs them in order; returns how many blocks came to their end.
#[track_caller]
pub fn run_all<'p>(page: &'p Page, runs: impl Iterator<Item = &'p Run>) -> usize {
    sweep::once();
    sweep_groups();
    let dir = Dir(vm::scratch(&page.file));
    internet::certificates(&dir.0);
    std::fs::create_dir(dir.0.join("usb")).expect("make a directory");
    let mut strip = Command::new("strip");
    strip
        .arg("-o")
        .arg(dir.0.join("skiff"))
        .arg(skiff::binary());
    e2e::run::ok(&mut strip);
    runs.map(|run| run_one(page, run, &dir.0)).sum()
}

/// The directory of a page, removed with this value.
struct Dir(PathBuf);

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
        let _ = self.0.parent().map(std::fs::remove_dir);
    }
}

#[track_caller]
fn run_one(page: &Page, run: &Run, dir: &Path) -> usize {
    let mut network = Network::new();
    let machine = network.machine();
    let internet = Internet::start(&mut network, dir, run.is_offline);
    std::fs::write(dir.join("script"), script::of(page, run)).expect("write the script");
    std::fs::write(dir.join("room.sh"), include_str!("room.sh")).expect("write room.sh");
    let group = format!("{}-{}-docs", e2e::machine::PREFIX, std::process::id());
    let mut command = machine.command("setpriv");
    command
        .args(["--pdeathsig", "KILL", "sh"])
        .arg(dir.join("room.sh"))
        .arg(dir);
    command.arg(&group).arg(if run.place == Place::Cluster {
        "cluster"
    } else {
        "machine"
    });
    command.arg(internet.ip.to_string());
    let begin = Instant::now();
    let (status, output) = to_the_end(command, &dir.join("output"));
    remove_group(&group);
    println!(
        "{output}\n--- docs/{}:{}: {:.1?}",
        page.file,
        run.line,
        begin.elapsed()
    );
    match status {
        Some(status) => assert!(
            status.success(),
            "docs/{}:{} ended with {status}",
            page.file,
            run.line
        ),
        None => panic!("docs/{}:{} took longer than {LIMIT:?}", page.file, run.line),
    }
    script::ended(&output)
}

/// Waits for it, and ends it after [`LIMIT`]; what it printed is in a file, for those it started may outlive it.
fn to_the_end(mut command: Command, output: &Path) -> (Option<ExitStatus>, String) {
    let file = File::create(output).expect("create a file");
    let error = file.try_clone().expect("clone a descriptor");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(error)
        .spawn()
        .expect("nsenter is installed");
    let end = Instant::now() + LIMIT;
    let status = loop {
        match child.try_wait().expect("a child can be waited for") {
            None if Instant::now() < end => std::thread::sleep(Duration::from_millis(50)),
            status => break status,
        }
    };
    let _ = child.kill();
    let _ = child.wait();
    let output = std::fs::read(output).unwrap_or_default();
    (status, String::from_utf8_lossy(&output).into_owned())
}

/// Groups of tests that were killed.
fn sweep_groups() {
    let hierarchies = std::fs::read_dir("/sys/fs/cgroup")
        .into_iter()
        .flatten()
        .flatten();
    let dirs = hierarchies
        .map(|entry| entry.path())
        .chain([PathBuf::from("/sys/fs/cgroup")]);
    for entry in dirs
        .filter_map(|dir| std::fs::read_dir(dir).ok())
        .flatten()
        .flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        let rest = name
            .strip_prefix(e2e::machine::PREFIX)
            .and_then(|rest| rest.strip_suffix("-docs"));
        let owner = rest.and_then(|rest| rest.strip_prefix('-')?.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            remove_group(&name);
        }
    }
}

/// In every hierarchy, with all groups below. Its processes are dead, but may still be counted for a moment.
fn remove_group(name: &str) {
    let script = r#"
for group in "/sys/fs/cgroup/$0" /sys/fs/cgroup/*/"$0"; do
    n=0
    while [ -d "$group" ] && [ $n -lt 200 ]; do
        find "$group" -depth -type d -exec rmdir {} + 2>/dev/null
        [ ! -d "$group" ] || sleep 0.05
        n=$((n + 1))
    done
    [ ! -d "$group" ] || echo "$group is still there"
done
"#;
    let output = e2e::run::output(Command::new("sh").args(["-c", script, name]));
    print!("{}", String::from_utf8_lossy(&output.stdout));
}

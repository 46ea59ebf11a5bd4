//! What one case has to itself: a directory, names, and a check at its end.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Bundle, Outcome, Runtime, cgroups};

/// Names of directories and of control groups begin with this, the process id follows.
const PREFIX: &str = "skoci";
const HOME: &str = "/var/tmp";

static NEXT: AtomicU32 = AtomicU32::new(0);
static USERS: Mutex<u32> = Mutex::new(0);

/// A case ends with this when the machine cannot play it.
pub struct Skip(pub &'static str);

pub struct Ground {
    pub runtime: Runtime,
    pub dir: PathBuf,
    name: String,
    bundles: Cell<u32>,
}

impl Ground {
    pub fn new(runtime: Runtime) -> Self {
        let name = format!(
            "{PREFIX}-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let dir = base().join(&name);
        fs::create_dir_all(dir.join("calls")).expect("create the directory of a case");
        Self {
            runtime,
            dir,
            name,
            bundles: Cell::new(0),
        }
    }

    /// Ends the case: this machine cannot play it.
    pub fn skip(&self, reason: &'static str) -> ! {
        std::panic::panic_any(Skip(reason))
    }

    /// Where the runtime keeps its state.
    pub fn root(&self) -> PathBuf {
        self.dir.join("state")
    }

    pub fn busybox() -> PathBuf {
        base().join("busybox")
    }

    /// A new bundle, its id and its control group of the same name.
    pub fn bundle(&self) -> Bundle<'_> {
        let number = self.bundles.replace(self.bundles.get() + 1);
        Bundle::new(self, format!("{}-{number}", self.name))
    }

    pub fn command(&self) -> Command {
        let mut command = self.runtime.command();
        command.arg("--root").arg(self.root());
        command
    }

    #[track_caller]
    pub fn call(&self, args: &[&str]) -> Outcome {
        self.end(self.command().args(args))
    }

    /// Runs a shell's script with `$RT` as the runtime's words.
    #[track_caller]
    pub fn script(&self, script: &str) -> Outcome {
        let words = format!("{} --root {}", self.runtime.words(), self.root().display());
        self.end(
            Command::new("sh")
                .args(["-c", script])
                .env("RT", words)
                .current_dir(&self.dir),
        )
    }

    /// Runs `command` to its end.
    #[track_caller]
    pub fn end(&self, command: &mut Command) -> Outcome {
        Outcome::of(command, &self.dir.join("calls"))
    }

    /// Nothing of any container is left: no state, control group, mount or process.
    #[track_caller]
    pub fn is_clean(&self) {
        let state = entries(&self.root());
        assert!(state.is_empty(), "state is left: {state:?}");
        let groups = cgroups::named(&format!("{}-", self.name));
        assert!(groups.is_empty(), "groups are left: {groups:?}");
        let mounts = self.mounts();
        assert!(mounts.is_empty(), "mounts are left: {mounts:?}");
    }

    /// What is mounted below the case's own directory, as this thread sees it.
    fn mounts(&self) -> Vec<String> {
        let text = fs::read_to_string("/proc/thread-self/mountinfo").expect("a thread has mounts");
        let own = format!("/{}/", self.name);
        text.lines()
            .filter(|line| line.contains(&own))
            .map(str::to_owned)
            .collect()
    }

    /// Ends all containers as a caller would, and returns what the runtime then left.
    pub fn clear(&self) {
        for id in entries(&self.root()) {
            self.call(&["delete", "--force", &id]);
        }
    }

    /// Removes everything, by hand.
    pub fn sweep(&self) {
        cgroups::named(&format!("{}-", self.name))
            .iter()
            .for_each(|group| cgroups::remove(group));
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// What all cases of this process share. It is removed with the last one who has it.
pub struct Shared;

impl Shared {
    pub fn take() -> Self {
        let mut users = USERS.lock().expect("no holder panics");
        if *users == 0 {
            sweep_dead();
            fs::create_dir_all(base()).expect("create the base directory");
            fs::copy("/bin/busybox", Ground::busybox()).expect("copy busybox");
        }
        *users += 1;
        Self
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let mut users = USERS.lock().expect("no holder panics");
        *users -= 1;
        if *users == 0 {
            let _ = fs::remove_dir_all(base());
        }
    }
}

/// Removes what tests that were killed left.
fn sweep_dead() {
    for group in cgroups::named(PREFIX) {
        let name = group.file_name().unwrap_or_default().to_string_lossy();
        if is_dead(&name) {
            cgroups::remove(&group);
        }
    }
    for dir in entries(Path::new(HOME))
        .into_iter()
        .filter(|name| is_dead(name))
    {
        let _ = fs::remove_dir_all(Path::new(HOME).join(dir));
    }
}

fn base() -> PathBuf {
    Path::new(HOME).join(format!("{PREFIX}-{}", std::process::id()))
}

/// Whether `name` is of a test process that no longer runs.
fn is_dead(name: &str) -> bool {
    let rest = name
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.strip_prefix('-'));
    let pid = rest
        .and_then(|rest| rest.split('-').next())
        .and_then(|pid| pid.parse::<u32>().ok());
    pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
}

fn entries(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

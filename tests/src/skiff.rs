//! skiff, running on a machine of a test.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::disks::Disks;
use crate::machine::Machine;
use crate::{Kubectl, run, until};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The administrator's bearer token on every server of a test.
pub const TOKEN: &str = "end-to-end";

/// A skiff with its data directory; dropped, it is stopped and reset.
pub struct Skiff<'m> {
    machine: &'m Machine,
    /// Its file: the one that all tests are about, or another build.
    program: PathBuf,
    pub dir: PathBuf,
    args: Vec<String>,
    /// Where programs are looked for first.
    programs: Option<PathBuf>,
    child: Option<Child>,
    disks: Option<Disks>,
}

/// `skiff` as built for these tests: `$SKIFF_BIN`, or beside the test's own file.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("SKIFF_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().expect("a process knows its own file");
    let dir = test
        .parent()
        .and_then(Path::parent)
        .expect("tests are in target/<profile>/deps");
    dir.join("skiff")
}

/// How full the machine's disk is must not matter to a test.
const NO_EVICTION: [&str; 4] = ["--eviction-hard", "", "--image-gc-high-threshold", "100"];

/// Where the data directories of this test process are.
pub(crate) fn base_dir(pid: u32) -> PathBuf {
    PathBuf::from(format!("/var/tmp/{}-{pid}", crate::machine::PREFIX))
}

impl<'m> Skiff<'m> {
    /// `skiff up` on `machine`, with its node Ready.
    #[track_caller]
    pub fn up(machine: &'m Machine, flags: &[&str]) -> Self {
        let skiff = Self::started(machine, "up", flags);
        skiff.wait_ready(&skiff.node_name());
        skiff
    }

    /// [`Skiff::up`] with disks of its own below the data directory, such as `("images", "size=16m")`.
    #[track_caller]
    pub fn up_with_disks(machine: &'m Machine, flags: &[&str], disks: &[(&str, &str)]) -> Self {
        let mut skiff = Self::prepared(machine, "up", flags);
        skiff.disks = Some(Disks::new(&skiff.dir, disks));
        skiff.start();
        skiff.wait_api();
        skiff.wait_ready(&skiff.node_name());
        skiff
    }

    /// Where a file of a disk of its own can be reached.
    pub fn on_disk(&self, path: &str) -> PathBuf {
        let path = self.dir.join(path);
        match &self.disks {
            Some(disks) => disks.path(&path),
            None => path,
        }
    }

    fn invoked(&self) -> Command {
        match &self.disks {
            Some(disks) => disks.command(self.machine, &self.program),
            None => self.machine.command(&self.program),
        }
    }

    /// `skiff server` on `machine`, answering.
    #[track_caller]
    pub fn server(machine: &'m Machine, flags: &[&str]) -> Self {
        Self::started(machine, "server", flags)
    }

    /// The same, of another build.
    #[track_caller]
    pub fn server_of(program: &Path, machine: &'m Machine, flags: &[&str]) -> Self {
        let mut skiff = Self::prepared(machine, "server", flags);
        skiff.replace_program(program);
        skiff.start();
        skiff.wait_api();
        skiff
    }

    /// Another `skiff server` of the cluster of `first`: with a copy of its keys.
    #[track_caller]
    pub fn server_beside(first: &Skiff<'_>, machine: &'m Machine, flags: &[&str]) -> Self {
        let mut skiff = Self::prepared(machine, "server", flags);
        std::fs::create_dir_all(&skiff.dir).expect("create the data directory");
        let keys = first.dir.join("pki");
        run::ok(Command::new("cp").arg("-a").arg(keys).arg(&skiff.dir));
        skiff.start();
        skiff.wait_api();
        skiff
    }

    /// From the next start on it has these flags besides, or no more.
    pub fn add_flags(&mut self, flags: &[&str]) {
        self.args
            .extend(flags.iter().map(|flag| (*flag).to_owned()));
    }

    pub fn remove_flags(&mut self, flags: &[&str]) {
        self.args.retain(|arg| !flags.contains(&arg.as_str()));
    }

    /// `skiff agent` on `machine`, started.
    #[track_caller]
    pub fn agent(machine: &'m Machine, name: &str, server: &Machine, token: &str) -> Self {
        Self::agent_of(&binary(), machine, name, server, token)
    }

    /// The same, of another build.
    #[track_caller]
    pub fn agent_of(
        program: &Path,
        machine: &'m Machine,
        name: &str,
        server: &Machine,
        token: &str,
    ) -> Self {
        let url = format!("https://{}:6443", server.ip);
        let node_ip = machine.ip.to_string();
        let args = [
            "agent",
            "--server",
            &url,
            "--token",
            token,
            "--node-name",
            name,
            "--node-ip",
            &node_ip,
        ];
        let args = args.iter().chain(&NO_EVICTION);
        let mut skiff = Self::new(machine, args.map(|arg| (*arg).to_owned()).collect());
        skiff.replace_program(program);
        skiff.start();
        skiff
    }

    #[track_caller]
    fn started(machine: &'m Machine, command: &str, flags: &[&str]) -> Self {
        let mut skiff = Self::prepared(machine, command, flags);
        skiff.start();
        skiff.wait_api();
        skiff
    }

    fn prepared(machine: &'m Machine, command: &str, flags: &[&str]) -> Self {
        let dir = new_dir();
        let tokens = dir.with_extension("tokens");
        std::fs::create_dir_all(base_dir(std::process::id())).expect("create the test's directory");
        std::fs::write(&tokens, format!("{TOKEN},admin,admin,\"system:masters\"\n"))
            .expect("write the token file");
        let mut args = vec![
            command.to_owned(),
            "--token-auth-file".into(),
            tokens.display().to_string(),
        ];
        if command == "up" {
            args.extend([
                "--node-ip".into(),
                machine.ip.to_string(),
                "--node-name".into(),
                "node".into(),
            ]);
            // A test of evictions says itself when there are any.
            if !flags.contains(&"--eviction-hard") {
                args.extend(NO_EVICTION.map(str::to_owned));
            }
        } else if !flags.contains(&"--advertise-address") {
            args.extend(["--advertise-address".into(), machine.ip.to_string()]);
        }
        args.extend(flags.iter().map(|flag| (*flag).to_owned()));
        Self {
            machine,
            program: binary(),
            dir,
            args,
            programs: None,
            child: None,
            disks: None,
        }
    }

    fn new(machine: &'m Machine, args: Vec<String>) -> Self {
        Self {
            machine,
            program: binary(),
            dir: new_dir(),
            args,
            programs: None,
            child: None,
            disks: None,
        }
    }

    /// Starts it (again) on the same data directory.
    #[track_caller]
    pub fn start(&mut self) {
        std::fs::create_dir_all(base_dir(std::process::id())).expect("create the test's directory");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("open skiff's log");
        let out = log.try_clone().expect("clone a descriptor");
        let mut command = self.invoked();
        command.args(&self.args).arg("--data-dir").arg(&self.dir);
        command.stdin(Stdio::null()).stdout(out).stderr(log);
        if let Some(dir) = &self.programs {
            let rest = std::env::var("PATH").unwrap_or_default();
            command.env("PATH", format!("{}:{rest}", dir.display()));
        }
        self.child = Some(command.spawn().expect("nsenter is installed"));
    }

    /// From the next start on, it is another build.
    pub fn replace_program(&mut self, program: &Path) {
        program.clone_into(&mut self.program);
    }

    /// From the next start on, programs that skiff runs are looked for there first.
    pub fn find_programs_in(&mut self, dir: Option<&Path>) {
        self.programs = dir.map(Path::to_owned);
    }

    /// A `skiff` command about this data directory, to be run on the machine.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.invoked();
        command.args(args).arg("--data-dir").arg(&self.dir);
        command
    }

    /// The real kubectl, as the administrator, on this machine.
    pub fn kubectl(&self) -> Kubectl<'_> {
        Kubectl::new(self.machine, self.dir.join("admin.kubeconfig"))
    }

    pub fn pid(&self) -> Pid {
        let child = self.child.as_ref().expect("skiff runs");
        // nsenter execs the program, so its pid is skiff's.
        Pid::from_raw(i32::try_from(child.id()).expect("a pid fits"))
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        self.signal_and_wait(Signal::SIGKILL);
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(&mut self) {
        self.signal_and_wait(Signal::SIGTERM);
    }

    fn signal_and_wait(&mut self, signal: Signal) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid fits"));
        let _ = kill(pid, signal);
        for _ in 0..1200 {
            if matches!(child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = child.kill();
        let _ = child.wait();
        println!(
            "skiff did not end within a minute of {signal}:\n{}",
            self.log()
        );
    }

    /// What skiff printed so far.
    pub fn log(&self) -> String {
        let mut text = String::new();
        if let Ok(mut file) = File::open(self.log_path()) {
            let _ = file.read_to_string(&mut text);
        }
        text
    }

    fn log_path(&self) -> PathBuf {
        self.dir.with_extension("log")
    }

    fn node_name(&self) -> String {
        "node".into()
    }

    #[track_caller]
    pub fn wait_api(&self) {
        until("the API answers", Duration::from_secs(30), || {
            self.assert_running();
            let kubectl = self.kubectl();
            let answer = run::output(&mut kubectl.command(&["get", "--raw", "/readyz"]));
            answer.status.success().then_some(())
        });
    }

    #[track_caller]
    pub fn wait_ready(&self, node: &str) {
        until("the node is Ready", Duration::from_secs(30), || {
            self.assert_running();
            let ready = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
            let answer =
                run::output(&mut self.kubectl().command(&["get", "node", node, "-o", ready]));
            (answer.stdout == b"True").then_some(())
        });
    }

    #[track_caller]
    fn assert_running(&self) {
        assert!(!self.has_ended(), "skiff has ended:\n{}", self.log());
    }

    /// Whether it ended by itself.
    pub fn has_ended(&self) -> bool {
        let child = self.child.as_ref().expect("skiff was started");
        let state =
            std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
        state.is_empty() || state.contains(") Z ")
    }
}

impl Drop for Skiff<'_> {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            println!("--- skiff's log\n{}", self.log());
        }
        let reset = run::output(&mut self.command(&["reset", "--yes"]));
        if !reset.status.success() {
            println!("reset: {}", String::from_utf8_lossy(&reset.stderr));
        }
        if self.disks.take().is_some() {
            // Left are the mount points.
            let _ = std::fs::remove_dir_all(&self.dir);
        }
        for extension in ["log", "tokens"] {
            let _ = std::fs::remove_file(self.dir.with_extension(extension));
        }
        let _ = std::fs::remove_dir(base_dir(std::process::id()));
    }
}

/// A directory of this test's own, not made yet; swept away if the test is killed.
pub fn new_dir() -> PathBuf {
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    base_dir(std::process::id()).join(format!("d{n}"))
}

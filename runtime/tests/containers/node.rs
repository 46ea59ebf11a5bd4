//! A node of a test's own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use oci_spec::runtime::Spec;
use runtime::{
    Config, ContainerConfig, ContainerId, Event, Exit, MonitorProgram, Rootfs, Runtime, Sandbox,
    SandboxConfig, Stdin,
};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A runtime, an image with busybox, and room for containers' layers.
pub struct Node {
    pub runtime: Runtime,
    pub config: Config,
    pub dir: tempfile::TempDir,
    containers: AtomicU32,
}

/// `None`, with the reason printed, where the test cannot run.
pub fn open() -> Option<Node> {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: containers take root");
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    make_image(&dir.path().join("image"));
    let name = format!(
        "skiff-test-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    let mut config = Config::new(dir.path().join("run"), name);
    config.monitor = MonitorProgram {
        exe: monitor(),
        args: Vec::new(),
    };
    let runtime = Runtime::open(config.clone()).unwrap();
    Some(Node {
        runtime,
        config,
        dir,
        containers: AtomicU32::new(0),
    })
}

/// Built beside the tests, as every example is.
fn monitor() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let exe = tests
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples/monitor");
    assert!(
        exe.exists(),
        "{} is missing: cargo build -p runtime --examples",
        exe.display()
    );
    exe
}

fn make_image(image: &Path) {
    for dir in ["bin", "etc", "tmp", "proc", "sys", "dev"] {
        fs::create_dir_all(image.join(dir)).unwrap();
    }
    fs::copy("/bin/busybox", image.join("bin/busybox")).expect("apt-get install busybox-static");
    let applets = Command::new("/bin/busybox")
        .arg("--list")
        .output()
        .unwrap()
        .stdout;
    for applet in String::from_utf8(applets)
        .unwrap()
        .lines()
        .filter(|&a| a != "busybox")
    {
        std::os::unix::fs::symlink("/bin/busybox", image.join("bin").join(applet)).unwrap();
    }
    fs::write(
        image.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n",
    )
    .unwrap();
    fs::write(
        image.join("etc/group"),
        "root:x:0:\nuser:x:1000:\nextra:x:2000:user\n",
    )
    .unwrap();
}

impl Node {
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn sandbox_config(&self, uid: &str) -> SandboxConfig {
        SandboxConfig {
            uid: uid.into(),
            namespace: "default".into(),
            name: uid.into(),
            hostname: format!("host-of-{uid}"),
            cgroup_parent: Path::new("kubepods").join(format!("pod{uid}")),
            ..SandboxConfig::default()
        }
    }

    pub async fn sandbox(&self) -> Sandbox {
        self.runtime
            .create_sandbox(self.sandbox_config("a"))
            .await
            .unwrap()
    }

    /// A container that runs a shell script, with all defaults.
    pub fn shell(&self, id: &str, script: &str) -> ContainerConfig {
        self.container(
            id,
            runtime::defaults::spec(["sh", "-c", script].map(str::to_owned).to_vec()),
        )
    }

    pub fn container(&self, id: &str, spec: Spec) -> ContainerConfig {
        let number = self.containers.fetch_add(1, Ordering::Relaxed);
        let [upper, work] = ["upper", "work"].map(|d| self.path(&format!("layers/{number}/{d}")));
        fs::create_dir_all(&upper).unwrap();
        fs::create_dir_all(&work).unwrap();
        ContainerConfig {
            id: self::id(id),
            spec,
            rootfs: Rootfs::Overlay {
                lower: vec![self.path("image")],
                upper,
                work,
            },
            log_path: Some(self.path(&format!("{id}.log"))),
            stdin: Stdin::Closed,
            labels: BTreeMap::from([("container".to_owned(), id.to_owned())]),
        }
    }

    /// The log's lines without their heads.
    pub fn log(&self, id: &str) -> Vec<String> {
        let log = fs::read_to_string(self.path(&format!("{id}.log"))).unwrap();
        log.lines()
            .map(|l| l.splitn(4, ' ').nth(3).unwrap().to_owned())
            .collect()
    }

    /// Runs a script to its end: what it printed, and how it ended.
    pub async fn run(&self, sandbox: &Sandbox, container: ContainerConfig) -> (Vec<String>, Exit) {
        let id = container.id.clone();
        let mut events = sandbox.events().await.unwrap();
        sandbox.start(container).await.unwrap();
        let exit = wait_for(&mut events, &id).await;
        (self.log(id.as_str()), exit)
    }

    /// Runs a script in a pod of its own, and leaves nothing.
    pub async fn output(self, script: &str) -> Vec<String> {
        let container = self.shell("c", script);
        self.output_of(container).await
    }

    pub async fn output_of(self, container: ContainerConfig) -> Vec<String> {
        let sandbox = self.sandbox().await;
        let (lines, _) = self.run(&sandbox, container).await;
        sandbox.destroy().await.unwrap();
        self.close().await;
        lines
    }

    /// Removes everything, and shows that nothing is left.
    pub async fn close(self) {
        self.runtime.remove_everything().await.unwrap();
        assert_eq!(self.leftovers(), Vec::<String>::new());
    }

    fn leftovers(&self) -> Vec<String> {
        let group = self.config.cgroup_root.to_string_lossy().into_owned();
        let hierarchies = fs::read_dir("/sys/fs/cgroup")
            .unwrap()
            .flatten()
            .map(|e| e.path());
        let groups = hierarchies
            .map(|h| h.join(&group))
            .filter(|g| g.exists())
            .map(|g| g.display().to_string());
        let dir = self.dir.path().to_string_lossy().into_owned();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mounts = mounts
            .lines()
            .filter(|l| l.contains(&dir))
            .map(str::to_owned)
            .collect::<Vec<_>>();
        let run_dir = fs::read_dir(self.path("run/pods"))
            .unwrap()
            .flatten()
            .map(|e| e.path().display().to_string());
        groups
            .chain(mounts)
            .chain(run_dir)
            .chain(processes_with(&dir))
            .collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        // A failed test must not leave its containers on the machine.
        let runtime = self.runtime.clone();
        let clean = move || {
            let tokio = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            tokio.block_on(runtime.remove_everything())
        };
        if let Ok(Err(e)) = std::thread::spawn(clean).join() {
            eprintln!("clean up after the failed test: {e}");
        }
    }
}

/// The processes that name `dir` among their arguments.
fn processes_with(dir: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let commands = entries.filter_map(|e| fs::read_to_string(e.path().join("cmdline")).ok());
    commands.filter(|c| c.contains(dir)).collect()
}

pub fn id(id: &str) -> ContainerId {
    ContainerId::new(id).unwrap()
}

pub async fn wait_for(events: &mut runtime::Events, id: &ContainerId) -> Exit {
    let wait = async {
        loop {
            let Event::Exited { id: ended, exit } = events.next().await.unwrap();
            if ended == *id {
                return exit;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), wait)
        .await
        .expect("the container ends")
}

//! skiff as a service of a machine: what is written, and how it lives under systemd.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use e2e::{image, package, run, skiff, vm};

/// It takes about three minutes on two cores that do nothing else.
const LIMIT: Duration = Duration::from_secs(900);

fn skiff(args: &[&str]) -> Command {
    let mut command = Command::new(skiff::binary());
    command.args(args);
    command
}

/// A directory that stands for another machine's file system, removed with this value.
struct Root(PathBuf);

impl Root {
    fn new(name: &str) -> Self {
        Self(vm::scratch(name))
    }

    fn install(&self, role: &str, flags: &[&str]) -> Command {
        let root = self.0.to_str().expect("the path is UTF-8");
        skiff(&[&["install", role, "--root", root], flags].concat())
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.0.join(path)).expect(path)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
        let _ = self.0.parent().map(std::fs::remove_dir);
    }
}

#[test]
fn another_root_gets_the_binary_the_unit_and_the_settings() {
    if !e2e::need::met(&[]) {
        return;
    }
    let root = Root::new("root");
    let flags = ["--server", "https://10.0.0.1:6443", "--token", "abc.def"];
    run::ok(&mut root.install("agent", &flags));
    let config = root.read("etc/skiff/config.yaml");
    assert!(
        config.contains("server:\n- https://10.0.0.1:6443\ntoken: abc.def\n"),
        "{config}"
    );
    let mode = |path: &str| {
        let about = std::fs::metadata(root.0.join(path)).expect(path);
        about.permissions().mode() & 0o777
    };
    assert_eq!(mode("etc/skiff/config.yaml"), 0o600);
    assert_eq!(mode("usr/local/bin/skiff"), 0o755);
    let unit = root.read("etc/systemd/system/skiff-agent.service");
    assert!(unit.contains("KillMode=process"), "{unit}");
    let link = root
        .0
        .join("etc/systemd/system/multi-user.target.wants/skiff-agent.service");
    let target = std::fs::read_link(link).expect("the unit is enabled");
    assert_eq!(target, Path::new("/etc/systemd/system/skiff-agent.service"));

    let again = run::ok(&mut root.install("agent", &["--max-pods", "7"]));
    assert!(again.contains("usr/local/bin/skiff: unchanged"), "{again}");
    assert!(again.contains("config.yaml: changed"), "{again}");
    assert_eq!(
        root.read("etc/skiff/config.yaml"),
        format!("{config}max-pods: 7\n")
    );

    let other = run::fails(&mut root.install("up", &[]));
    assert!(other.contains("skiff agent"), "{other}");
}

#[test]
fn dry_run_shows_all_but_secrets_and_writes_nothing() {
    if !e2e::need::met(&[]) {
        return;
    }
    let root = Root::new("dry");
    let flags = [
        "--dry-run",
        "--server",
        "https://10.0.0.1:6443",
        "--token",
        "abc.def",
    ];
    let shown = run::ok(&mut root.install("agent", &flags));
    assert!(
        shown.contains("Type=notify") && shown.contains("- https://10.0.0.1:6443"),
        "{shown}"
    );
    assert!(!shown.contains("abc.def"), "{shown}");
    let made = std::fs::read_dir(&root.0).expect("the directory is there");
    assert_eq!(made.count(), 0);
}

#[test]
fn settings_that_are_wrong_are_refused_by_name() {
    if !e2e::need::met(&[]) {
        return;
    }
    let root = Root::new("wrong");
    std::fs::create_dir_all(root.0.join("etc/skiff")).expect("create a directory");
    let config = root.0.join("etc/skiff/config.yaml");
    let refused = |text: &str| {
        std::fs::write(&config, text).expect("write the settings");
        let file = config.to_str().expect("the path is UTF-8");
        run::fails(&mut skiff(&["up", "--config", file]))
    };
    let error = refused("secure_port: 1\n");
    assert!(
        error.contains("unknown key \"secure_port\"; did you mean \"secure-port\"?"),
        "{error}"
    );
    let error = refused("secure-port: many\n");
    assert!(error.contains("secure-port is set in /"), "{error}");
    let error = run::fails(&mut root.install("up", &[]));
    assert!(error.contains("secure-port is set in /"), "{error}");
}

#[test]
fn machine_runs_skiff_under_systemd_and_is_clean_afterwards() {
    if !e2e::need::met(vm::PROGRAMS) {
        return;
    }
    let dir = vm::scratch("install");
    let binary = package::stripped(&dir);
    let snapshot = dir.join("snapshot.sh");
    std::fs::write(&snapshot, vm::SNAPSHOT).expect("write a script");
    let files = [
        ("skiff.deb", package::debian(&binary, &dir)),
        ("skiff", binary),
        ("busybox.tar", image::busybox()),
        ("snapshot.sh", snapshot),
    ];
    let output = vm::run(&files, include_str!("install/machine.sh"), LIMIT);
    let _ = std::fs::remove_dir_all(&dir);
    let _ = dir.parent().map(std::fs::remove_dir);
    println!("{output}");
}

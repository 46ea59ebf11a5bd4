//! One machine of several, with a shell.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::qemu::{Qemu, Running};
use super::shell::{Answer, Shell};
use crate::machine::Tap;
use crate::run;

/// What there is of a machine.
#[derive(Clone, Copy)]
pub struct Hardware {
    pub cpus: u8,
    pub mebibytes: u16,
}

/// A machine that is on. The directory `/work` is the disk of [`disk_of`].
pub struct Vm {
    pub name: &'static str,
    pub ip: Ipv4Addr,
    console: PathBuf,
    shell: Mutex<Shell>,
    _running: Running,
}

impl Vm {
    /// Switches a machine on; in the thread of [`crate::Network::enter`], which the machine
    /// does not outlive.
    #[track_caller]
    pub fn start(
        name: &'static str,
        hardware: Hardware,
        (image, files, dir): (&Path, &Path, &Path),
        plug: &Tap,
    ) -> Self {
        let flags = format!(
            "shell systemd.hostname={name} net.ifnames=0 address={}",
            plug.ip
        );
        let console = dir.join(format!("{name}.console"));
        let socket = dir.join(format!("{name}.shell"));
        let mut qemu = Qemu::new(image, hardware.cpus, hardware.mebibytes, &flags);
        qemu.disk(files, "readonly=on").line_into(&console);
        qemu.line_at(&socket).cable(&plug.name, &plug.mac);
        let running = qemu.start();
        Self {
            name,
            ip: plug.ip,
            console,
            shell: Mutex::new(Shell::connect(&socket)),
            _running: running,
        }
    }

    /// Waits until it has booted (again).
    #[track_caller]
    pub fn wait_boot(&self) {
        let booted = self.shell().wait_boot();
        self.check(booted, "boot");
    }

    /// Runs a script, as root, in `/work`.
    #[track_caller]
    pub fn run(&self, script: &str) -> Answer {
        let answer = self.shell().run(script);
        self.check(answer, script)
    }

    /// Runs a script, which must succeed, and returns what it printed.
    #[track_caller]
    pub fn ok(&self, script: &str) -> String {
        let Answer { status, text } = self.run(&format!("set -e\n{script}"));
        if status != 0 {
            let journal = "journalctl --no-pager -n 80 -o short-monotonic -u 'skiff-*'";
            let journal = self.shell().run(journal).map(|answer| answer.text);
            let journal = journal.unwrap_or_default();
            panic!(
                "{}: {script}\nended with {status}: {text}\n{journal}",
                self.name
            );
        }
        text
    }

    /// Runs a script again and again until it succeeds, for ten minutes less a bit; returns what
    /// it printed last.
    #[track_caller]
    pub fn until(&self, script: &str) -> String {
        let attempt = format!("/dev/shm/until.{}", self.name);
        self.ok(&format!(
            "cat >{attempt} <<'END OF SCRIPT'\nset -e\n{script}\nEND OF SCRIPT\n\
             n=0; until sh {attempt} >{attempt}.said 2>&1; do\n\
             n=$((n + 1)); [ $n -lt 400 ] || {{ echo 'waited in vain'; cat {attempt}.said; exit 1; }}\n\
             sleep 0.5\ndone\ncat {attempt}.said"
        ))
    }

    /// Reboots it in order, and waits until it has booted.
    #[track_caller]
    pub fn reboot(&self) {
        let mut shell = self.shell();
        let sent = shell.send("systemctl reboot");
        let booted = sent.and_then(|_| shell.wait_boot());
        drop(shell);
        self.check(booted, "reboot");
    }

    /// What it said on its console so far.
    pub fn console(&self) -> String {
        std::fs::read_to_string(&self.console).unwrap_or_default()
    }

    fn shell(&self) -> MutexGuard<'_, Shell> {
        self.shell.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[track_caller]
    fn check<T>(&self, result: Result<T, String>, what: &str) -> T {
        result.unwrap_or_else(|error| {
            let console = self.console();
            panic!("{}: {what}\n{error}; its console:\n{console}", self.name)
        })
    }
}

/// A disk with `files`, for machines to read.
#[track_caller]
pub fn disk_of(dir: &Path, files: &[(&str, PathBuf)]) -> PathBuf {
    let tree = dir.join("files");
    std::fs::create_dir(&tree).expect("create a directory");
    let mut bytes = 0;
    for (name, path) in files {
        bytes += std::fs::copy(path, tree.join(name)).expect("copy a file");
    }
    let disk = dir.join("files.disk");
    let mebibytes = bytes.div_ceil(1 << 20) * 11 / 10 + 8;
    let mut make = Command::new("mkfs.ext4");
    make.args(["-q", "-F", "-m", "0", "-O", "^has_journal", "-d"]);
    make.arg(&tree).arg(&disk).arg(format!("{mebibytes}M"));
    run::ok(&mut make);
    std::fs::remove_dir_all(&tree).expect("remove what was copied");
    disk
}

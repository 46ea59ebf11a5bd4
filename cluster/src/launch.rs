//! Starting one node: a process that makes the node's namespaces and waits, and
//! in them the node's first process ([`init`]), which starts skiff.
//!
//! It is `skiff cluster-node`, called before any thread exists, and told what to
//! do by lines of JSON on its standard input. On standard output it answers
//! `pid N` once the namespaces are there, and `started` when skiff is about to
//! be: between the two the node is given its network.

mod init;
mod root;

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;

use nix::sched::CloneFlags;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::wait::waitpid;
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, sethostname};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sys::process::Cloned;

use crate::error::{Error, Result, file, kernel};
use crate::groups::Groups;
use crate::plan::Mount;

/// The first word of the command line.
pub const COMMAND: &str = "cluster-node";

/// The file that skiff is, in every node.
const PROGRAM: &str = "/usr/local/bin/skiff";

/// The first line: what the node is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub name: String,
    pub root: PathBuf,
    pub program_dir: PathBuf,
    pub group: PathBuf,
    pub mounts: Vec<Mount>,
    pub log: PathBuf,
}

/// The second line, once the node's network is there: what it runs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Go {
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
}

const LONGEST_LINE: usize = 1 << 20;

/// What `skiff cluster-node` does.
pub fn main() -> ExitCode {
    match launch() {
        Ok(code) => code,
        Err(error) => {
            println!("error: {}", error.chain());
            ExitCode::FAILURE
        }
    }
}

fn launch() -> Result<ExitCode> {
    die_with_parent()?;
    let setup: Setup = read_line()?;
    // The group's namespace is made from inside the group.
    let namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWNET;
    let cloned =
        sys::process::clone(namespaces, None).map_err(kernel("make the node's namespaces"))?;
    match cloned {
        Cloned::Child => {
            let code = node(&setup).unwrap_or_else(|error| {
                println!("error: {}", error.chain());
                1
            });
            sys::process::exit_now(code);
        }
        Cloned::Parent { pid, .. } => {
            println!("pid {pid}");
            quiet()?;
            waitpid(pid, None).map_err(kernel("wait for the node"))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The node's first process, from its first instruction on.
fn node(setup: &Setup) -> Result<i32> {
    die_with_parent()?;
    let groups = Groups::at(&setup.group)?;
    groups.enter()?;
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&setup.log);
    let log = log.map_err(file("open", &setup.log))?;
    sys::mount::isolate().map_err(kernel("cut off the node's mounts"))?;
    root::enter(setup, groups.layout())?;
    sethostname(&setup.name).map_err(kernel("set the node's name"))?;
    let go: Go = read_line()?;
    println!("started");
    quiet()?;
    dup2_stdout(&log)
        .and_then(|()| dup2_stderr(&log))
        .map_err(kernel("open the node's log"))?;
    drop(log);
    init::run(&go)
}

/// Whoever switches the machine room off switches its machines off.
fn die_with_parent() -> Result<()> {
    set_pdeathsig(Signal::SIGKILL).map_err(kernel("tie a process to its parent"))
}

/// Streams that lead nowhere; who reads the other end sees its end.
fn quiet() -> Result<()> {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null");
    let null = null.map_err(kernel("open /dev/null"))?;
    dup2_stdin(&null)
        .and_then(|()| dup2_stdout(&null))
        .map_err(kernel("let go of the supervisor"))
}

/// Byte by byte: what comes after the line is for another process.
fn read_line<T: DeserializeOwned>() -> Result<T> {
    let mut stdin = std::fs::File::from(sys_stdin()?);
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() < LONGEST_LINE {
        let read = stdin.read(&mut byte).map_err(kernel("read what to do"))?;
        if read == 0 || byte[0] == b'\n' {
            break;
        }
        line.push(byte[0]);
    }
    let path = "standard input".into();
    serde_json::from_slice(&line).map_err(|source| Error::Damaged { path, source })
}

fn sys_stdin() -> Result<std::os::fd::OwnedFd> {
    use std::os::fd::AsFd;
    let _ = std::io::stdout().flush();
    std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map_err(kernel("open standard input"))
}

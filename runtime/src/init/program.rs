//! Finding and executing the program, with errors in runc's words: users and
//! tools know them from Kubernetes' messages.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::AccessFlags;
use oci_spec::runtime::Process;

use super::{Fault, Never};

/// What the monitor is told when nothing but the exec is left to fail.
pub const READY: &[u8] = b"ready";

/// `/etc/passwd` is the image's: no more of it is read than this.
const MAX_PASSWD: u64 = 1 << 20;

pub fn change_dir(cwd: &Path) -> Result<(), Fault> {
    let failed = |why: String| {
        Fault::Exec(format!(
            "chdir to cwd ({:?}) set in config.json failed: {why}",
            cwd.display()
        ))
    };
    nix::unistd::chdir(cwd).map_err(|e| failed(text(e)))?;
    // A descriptor that leaked could lead outside (CVE-2024-21626); getcwd(2) tells.
    match nix::unistd::getcwd() {
        Ok(dir) if dir.is_absolute() => Ok(()),
        _ => Err(failed("it is outside of the container".into())),
    }
}

/// A program that was found, with all that its execution takes.
pub struct Program {
    path: PathBuf,
    program: CString,
    argv: Vec<CString>,
    envp: Vec<CString>,
}

impl Program {
    pub fn find(process: &Process) -> Result<Self, Fault> {
        let args = process.args().as_deref().unwrap_or_default();
        let name = args
            .first()
            .ok_or_else(|| Fault::Exec("the spec has no args".into()))?;
        let mut env = process.env().clone().unwrap_or_default();
        if !env.iter().any(|e| e.starts_with("HOME=")) {
            env.push(format!("HOME={}", home(process.user().uid())));
        }
        let path = find(name, &env)?;
        Ok(Self {
            program: c_string(&path.to_string_lossy(), name)?,
            argv: c_strings(args, name)?,
            envp: c_strings(&env, name)?,
            path,
        })
    }

    /// Comes back only with the reason why not.
    pub fn execute(self) -> Result<Never, Fault> {
        let refused: Result<Infallible, Errno> =
            nix::unistd::execve(&self.program, &self.argv, &self.envp);
        let Err(why) = refused;
        Err(Fault::Exec(format!(
            "exec {}: {}",
            self.path.display(),
            text(why)
        )))
    }
}

/// The end of `sync` alone could also be the end of this process.
pub fn tell_ready(sync: &OwnedFd) -> Result<(), Fault> {
    let told = nix::unistd::write(sync, READY);
    told.map(drop)
        .map_err(|e| Fault::Create(format!("tell the monitor: {e}")))
}

fn c_strings(list: &[String], name: &str) -> Result<Vec<CString>, Fault> {
    list.iter().map(|s| c_string(s, name)).collect()
}

fn c_string(s: &str, name: &str) -> Result<CString, Fault> {
    CString::new(s).map_err(|_| Fault::Exec(format!("exec: {name:?}: invalid argument")))
}

/// As a shell would, with the process's own `PATH`.
fn find(name: &str, env: &[String]) -> Result<PathBuf, Fault> {
    if name.contains('/') {
        return match is_executable(Path::new(name)) {
            Ok(()) => Ok(PathBuf::from(name)),
            Err(why) => Err(Fault::Exec(format!("exec: {name:?}: {why}"))),
        };
    }
    let path = env
        .iter()
        .rev()
        .find_map(|e| e.strip_prefix("PATH="))
        .unwrap_or_default();
    let candidates = path
        .split(':')
        .map(|dir| Path::new(if dir.is_empty() { "." } else { dir }).join(name));
    let mut found = candidates.filter(|c| !name.is_empty() && is_executable(c).is_ok());
    found.next().ok_or_else(|| {
        Fault::Exec(format!(
            "exec: {name:?}: executable file not found in $PATH"
        ))
    })
}

fn is_executable(path: &Path) -> Result<(), String> {
    let meta = std::fs::metadata(path).map_err(|e| {
        let why = e
            .raw_os_error()
            .map_or_else(|| e.to_string(), |n| text(Errno::from_raw(n)));
        format!("stat {}: {why}", path.display())
    })?;
    if meta.is_dir() {
        return Err(text(Errno::EISDIR));
    }
    // Root may execute nothing that has no x at all; eaccess(3) knows the rest.
    if meta.mode() & 0o111 == 0 {
        return Err(text(Errno::EACCES));
    }
    nix::unistd::eaccess(path, AccessFlags::X_OK).map_err(text)
}

/// The user's home as the image has it.
fn home(uid: u32) -> String {
    let open = File::options()
        .read(true)
        // A fifo of that name would be waited for.
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open("/etc/passwd");
    let Ok(passwd) = open else {
        return "/".into();
    };
    let lines = BufReader::new(passwd.take(MAX_PASSWD))
        .lines()
        .map_while(Result::ok);
    let mut homes = lines.filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let is_user = fields.get(2)?.parse() == Ok(uid);
        is_user.then(|| fields.get(5).map(|&h| h.to_owned()))?
    });
    homes
        .next()
        .filter(|h| !h.is_empty())
        .unwrap_or_else(|| "/".into())
}

/// `no such file or directory`: as Go writes it.
fn text(errno: Errno) -> String {
    let words = errno.desc();
    words.chars().next().map_or_else(String::new, |c| {
        c.to_lowercase().chain(words.chars().skip(1)).collect()
    })
}

//! `NOTIFY_SOCKET`: a service's "ready" on its way out of a container (sd_notify(3)).
//!
//! As with runc, the container gets a socket of its own, in `/run/notify`. Who
//! starts the container listens there until its program says that it is ready,
//! passes that on to the service manager, and tells which process to watch.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;
use oci_spec::runtime::{Mount, Spec};

use super::Result;
use super::error::OrRefuse;
use super::place::Process;

const VARIABLE: &str = "NOTIFY_SOCKET";
/// In a container's directory, and the socket in there.
const DIR: &str = "notify";
const SOCKET: &str = "notify.sock";
/// Where the directory is in the container.
const INSIDE: &str = "/run/notify";
/// A message is one datagram, of a few lines.
const MAX_MESSAGE: usize = 4096;
/// For a service manager to take in what it was told.
const LONGEST_BARRIER_MS: u16 = 30_000;

/// A service manager that waits to hear of the container.
#[derive(Debug)]
pub struct Notify {
    host: OsString,
    dir: PathBuf,
}

/// The container's socket, with us at its other end.
#[derive(Debug)]
pub struct Listener {
    host: OsString,
    socket: UnixDatagram,
}

impl Notify {
    /// None where nobody waits. `place` is the container's directory.
    pub fn wanted(place: &Path) -> Option<Self> {
        let host = std::env::var_os(VARIABLE).filter(|host| !host.is_empty())?;
        let dir = place.join(DIR);
        Some(Self { host, dir })
    }

    /// Has the container see the socket and know of it.
    pub fn add_to(&self, spec: &mut Spec) {
        let mut mount = Mount::default();
        let options = ["bind", "nosuid", "noexec", "nodev", "ro"];
        mount
            .set_destination(INSIDE.into())
            .set_source(Some(self.dir.clone()))
            .set_options(Some(options.map(str::to_owned).into()));
        let mut mounts = spec.mounts().clone().unwrap_or_default();
        mounts.push(mount);
        spec.set_mounts(Some(mounts));
        if let Some(program) = spec.process_mut() {
            let mut env = program.env().clone().unwrap_or_default();
            env.push(format!("{VARIABLE}={INSIDE}/{SOCKET}"));
            program.set_env(Some(env));
        }
    }

    /// Whether the container was made with it.
    pub fn is_there(&self) -> bool {
        self.dir.is_dir()
    }

    pub fn make_dir(&self) -> Result<()> {
        let made = DirBuilder::new().mode(0o755).create(&self.dir);
        made.or_refuse(|| format!("make {}", self.dir.display()))
    }

    /// To be called before the program runs, lest it finds nobody there.
    pub fn listen(self) -> Result<Listener> {
        let what = || format!("listen in {}", self.dir.display());
        let socket = self.bind().or_refuse(what)?;
        socket.set_nonblocking(true).or_refuse(what)?;
        let host = self.host;
        Ok(Listener { host, socket })
    }

    /// By the directory's descriptor: its path may be longer than a socket's can be (unix(7)).
    fn bind(&self) -> io::Result<UnixDatagram> {
        let dir = fs::File::open(&self.dir)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", dir.as_raw_fd()));
        let socket = UnixDatagram::bind(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o777))?;
        Ok(socket)
    }
}

impl Listener {
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Waits until the program says that it is ready, or ends; tells the service manager which process it is.
    pub fn pass_on(&self, init: Process, pidfd: BorrowedFd<'_>) -> Result<()> {
        loop {
            let mut fds = [
                PollFd::new(self.as_fd(), PollFlags::POLLIN),
                PollFd::new(pidfd, PollFlags::POLLIN),
            ];
            match poll(&mut fds, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                polled => polled.or_refuse(|| "wait for the container's READY".into())?,
            };
            let has_ended = fds[1].any().unwrap_or(true);
            if let Some(ready) = self.ready() {
                return self.tell(&ready, Some(init));
            }
            if has_ended {
                return Ok(());
            }
        }
    }

    /// The line that says so, if one has come; waits for nothing.
    pub fn ready(&self) -> Option<Vec<u8>> {
        let mut message = [0; MAX_MESSAGE];
        while let Ok(length) = self.socket.recv(&mut message) {
            let mut lines = message[..length].split(|byte| *byte == b'\n');
            if let Some(line) = lines.find(|line| line.starts_with(b"READY=")) {
                return Some(line.to_owned());
            }
        }
        None
    }

    /// Passes it on; with a process, that one is to be watched from now on, and we may go.
    pub fn tell(&self, ready: &[u8], init: Option<Process>) -> Result<()> {
        let what = || format!("tell {} of the container", self.host.display());
        let told = || {
            let host = self.connect()?;
            host.send(&[ready, b"\n"].concat())?;
            if let Some(init) = init {
                host.send(format!("MAINPID={}\n", init.pid).as_bytes())?;
                barrier(&host)?;
            }
            Ok::<_, io::Error>(())
        };
        told().or_refuse(what)
    }

    fn connect(&self) -> io::Result<UnixDatagram> {
        let host = UnixDatagram::unbound()?;
        match self.host.as_bytes().strip_prefix(b"@") {
            Some(name) => host.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
            None => host.connect(&self.host)?,
        }
        Ok(host)
    }
}

/// Waits until all that was sent is read (sd_notify_barrier(3)).
fn barrier(host: &UnixDatagram) -> io::Result<()> {
    let (read, write): (OwnedFd, OwnedFd) = sys::pipe()?;
    sys::socket::send(host.as_fd(), b"BARRIER=1", &[write.as_fd()])?;
    drop(write);
    let mut fds = [PollFd::new(read.as_fd(), PollFlags::empty())];
    // Whoever does not know of barriers keeps the descriptor, or has closed it at once.
    poll(&mut fds, PollTimeout::from(LONGEST_BARRIER_MS))?;
    Ok(())
}

/// A pidfd of the container's first process, where it still runs.
pub fn pidfd_of(init: Process) -> Option<OwnedFd> {
    let pidfd = sys::process::pidfd_open(Pid::from_raw(init.pid)).ok()?;
    init.is_alive().is_ok_and(|alive| alive).then_some(pidfd)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notify(dir: &Path, host: &Path) -> Notify {
        Notify {
            host: host.into(),
            dir: dir.join(DIR),
        }
    }

    #[test]
    fn the_container_is_told_where_its_socket_is() {
        let mut spec = Spec::default();
        let count = spec.mounts().as_ref().map_or(0, Vec::len);
        notify(Path::new("/run/x"), Path::new("/run/systemd/notify")).add_to(&mut spec);
        let mounts = spec.mounts().clone().unwrap();
        assert_eq!(mounts.len(), count + 1);
        assert_eq!(
            mounts[count].source().as_deref(),
            Some(Path::new("/run/x/notify"))
        );
        let env = spec.process().as_ref().unwrap().env().clone().unwrap();
        assert!(env.contains(&"NOTIFY_SOCKET=/run/notify/notify.sock".to_owned()));
    }

    #[test]
    fn ready_is_passed_on_and_nothing_else_and_then_the_process_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let host = UnixDatagram::bind(dir.path().join("host")).unwrap();
        let notify = notify(dir.path(), &dir.path().join("host"));
        notify.make_dir().unwrap();
        let listener = notify.listen().unwrap();
        let program = UnixDatagram::unbound().unwrap();
        program
            .connect(dir.path().join("notify/notify.sock"))
            .unwrap();
        program.send(b"STATUS=nearly").unwrap();
        assert_eq!(listener.ready(), None);
        program.send(b"STATUS=there\nREADY=1\n").unwrap();
        let ready = listener.ready().unwrap();
        let me = Process::of(std::process::id().cast_signed()).unwrap();
        // What is not received is closed with its message.
        let heard = std::thread::spawn(move || {
            let mut heard = Vec::new();
            for _ in 0..3 {
                let mut message = [0; 100];
                let length = host.recv(&mut message).unwrap();
                heard.push(String::from_utf8_lossy(&message[..length]).into_owned());
            }
            heard
        });
        listener.tell(&ready, Some(me)).unwrap();
        let pid = format!("MAINPID={}\n", me.pid);
        assert_eq!(heard.join().unwrap(), ["READY=1\n", &pid, "BARRIER=1"]);
    }
}

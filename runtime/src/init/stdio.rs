//! The standard streams of a process: pipes, or one terminal.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::{Uid, fchown};
use oci_spec::runtime::Process;
use sys::mount::{Reach, attach, clone_tree};
use sys::path::{Links, open_in_root};

use super::rootfs::make_file;
use super::{Fault, OrFault, open_path};

/// What goes to the monitor with a terminal's master end.
pub(crate) const TTY: &[u8] = b"tty";

/// What becomes descriptors 0, 1 and 2.
#[derive(Debug)]
pub(crate) enum Stdio {
    Pipes {
        stdin: OwnedFd,
        stdout: OwnedFd,
        stderr: OwnedFd,
    },
    /// A pty of the container's own devpts; its master goes to the parent.
    Tty,
    /// The parent's own.
    Inherited,
}

impl Stdio {
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        match self {
            Self::Pipes {
                stdin,
                stdout,
                stderr,
            } => vec![stdin.as_fd(), stdout.as_fd(), stderr.as_fd()],
            Self::Tty | Self::Inherited => Vec::new(),
        }
    }

    /// Opens the terminal, where there is to be one, and makes it the container's console.
    pub fn open_tty(
        &self,
        root: BorrowedFd<'_>,
        process: &Process,
        sync: &OwnedFd,
    ) -> Result<Option<OwnedFd>, Fault> {
        if !matches!(self, Self::Tty) {
            return Ok(None);
        }
        let tty = new_pty(root, process, sync).or_fault(|| "open a terminal".into())?;
        // By the descriptor of the pty just made, whatever /dev/pts shows by now (CVE-2025-52565).
        let bind = || {
            let console = make_file(root, Path::new("/dev/console"), Links::Refused)?;
            attach(
                clone_tree(tty.as_fd(), Path::new(""), Reach::This)?.as_fd(),
                console.as_fd(),
            )
        };
        bind().or_fault(|| "bind the terminal to /dev/console".into())?;
        Ok(Some(tty))
    }

    /// As [`Self::open_tty`] for a process that joins; the console stays the first one's.
    pub fn open_tty_inside(
        &self,
        process: &Process,
        sync: &OwnedFd,
    ) -> Result<Option<OwnedFd>, Fault> {
        if !matches!(self, Self::Tty) {
            return Ok(None);
        }
        let root = open_path(Path::new("/")).or_fault(|| "open the root".into())?;
        new_pty(root.as_fd(), process, sync)
            .or_fault(|| "open a terminal".into())
            .map(Some)
    }

    /// Puts the streams in place, owned by the user, who may want to open `/dev/stdout`.
    pub fn install(&self, tty: Option<OwnedFd>, process: &Process) -> Result<(), Fault> {
        self.install_all(tty.as_ref(), process.user().uid())
            .or_fault(|| "set up the standard streams".into())
    }

    fn install_all(&self, tty: Option<&OwnedFd>, user: u32) -> io::Result<()> {
        let [stdin, stdout, stderr] = match (self, tty) {
            (
                Self::Pipes {
                    stdin,
                    stdout,
                    stderr,
                },
                _,
            ) => [stdin, stdout, stderr],
            (Self::Tty, Some(tty)) => {
                sys::tty::make_controlling(tty.as_fd())?;
                [tty, tty, tty]
            }
            (Self::Tty, None) => return Err(io::ErrorKind::InvalidInput.into()),
            (Self::Inherited, _) => {
                own(&io::stdin(), user)?;
                own(&io::stdout(), user)?;
                return own(&io::stderr(), user);
            }
        };
        for stream in [stdin, stdout, stderr] {
            own(stream, user)?;
        }
        nix::unistd::dup2_stdin(stdin)?;
        nix::unistd::dup2_stdout(stdout)?;
        Ok(nix::unistd::dup2_stderr(stderr)?)
    }
}

/// Pipes and terminals only, not what is shared with the host, such as its /dev/null.
fn own(stream: &impl AsFd, user: u32) -> io::Result<()> {
    if user == 0 || !(is_pipe(stream)? || nix::unistd::isatty(stream).unwrap_or(false)) {
        return Ok(());
    }
    match fchown(stream, Some(Uid::from_raw(user)), None) {
        // Another user namespace's: it is as well readable through the descriptor.
        Err(Errno::EPERM | Errno::EINVAL | Errno::EROFS) | Ok(()) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

fn is_pipe(fd: &impl AsFd) -> io::Result<bool> {
    use nix::sys::stat::{SFlag, fstat};
    Ok(SFlag::from_bits_truncate(fstat(fd)?.st_mode) & SFlag::S_IFMT == SFlag::S_IFIFO)
}

/// Makes a pty in the container's devpts, sends its master away, gives the other end back.
fn new_pty(root: BorrowedFd<'_>, process: &Process, sync: &OwnedFd) -> io::Result<OwnedFd> {
    let path = Path::new("/dev/pts/ptmx");
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY;
    let master = open_in_root(root, path, flags, Mode::empty(), Links::Refused)?;
    let kind = nix::sys::statfs::fstatfs(&master)?.filesystem_type();
    if kind != nix::sys::statfs::DEVPTS_SUPER_MAGIC {
        return Err(io::Error::other("/dev/pts is not a devpts"));
    }
    let tty = sys::tty::open_peer(master.as_fd())?;
    if let Some(size) = process.console_size() {
        let side = |n: u64| u16::try_from(n).unwrap_or(u16::MAX);
        sys::tty::resize(tty.as_fd(), side(size.width()), side(size.height()))?;
    }
    sys::socket::send(sync.as_fd(), TTY, &[master.as_fd()])?;
    Ok(tty)
}

//! Device nodes and links in `/dev`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};
use nix::sys::stat::{Mode, SFlag, fstat, major, makedev, minor, mknodat, umask};
use nix::unistd::{Gid, Uid, fchownat, symlinkat};
use oci_spec::runtime::{LinuxDevice, LinuxDeviceType, Mount, Spec};
use sys::mount::{Reach, attach, clone_tree};
use sys::path::{Links, open_in_root};

use super::rootfs::{make_dir, make_file};
use super::{Fault, OrFault};

/// What every container has.
const CHARACTER_DEVICES: [(&str, u64, u64); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// When `/dev` is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filling {
    Always,
    /// As the OCI spec's other runtimes: a bound one is complete.
    UnlessBound,
}

/// Fills `/dev`, and gives the container's `/dev/null` back, verified to be it (CVE-2025-31133);
/// none where a bound `/dev` lacks it.
pub fn make_all(
    root: BorrowedFd<'_>,
    spec: &Spec,
    of_host: &[(PathBuf, OwnedFd)],
    filling: Filling,
) -> Result<Option<OwnedFd>, Fault> {
    // An image whose /dev is a link has nothing to win: links are refused (CVE-2026-41579).
    let dev = make_dir(root, Path::new("/dev"), Links::Refused).or_fault(|| "open /dev".into())?;
    if filling == Filling::UnlessBound && is_bound(spec) {
        return open_null(dev.as_fd());
    }
    if of_host.is_empty() {
        make_nodes(root, dev.as_fd(), spec)?;
    }
    for (path, device) in of_host {
        bind(root, path, device).or_fault(|| format!("bind {}", path.display()))?;
    }
    for (name, target) in LINKS {
        match symlinkat(target, &dev, name) {
            Err(Errno::EEXIST) | Ok(()) => {}
            Err(e) => return Err(e).or_fault(|| format!("make /dev/{name}")),
        }
    }
    open_null(dev.as_fd())
}

/// Whether `/dev` is a directory of the host's.
fn is_bound(spec: &Spec) -> bool {
    let is_bind = |m: &Mount| {
        let options = m.options().as_deref().unwrap_or_default();
        m.typ().as_deref() == Some("bind") || options.iter().any(|o| o == "bind" || o == "rbind")
    };
    let is_dev = |m: &Mount| {
        m.destination()
            .components()
            .eq(Path::new("/dev").components())
    };
    spec.mounts()
        .iter()
        .flatten()
        .any(|m| is_dev(m) && is_bind(m))
}

fn make_nodes(root: BorrowedFd<'_>, dev: BorrowedFd<'_>, spec: &Spec) -> Result<(), Fault> {
    for (name, major, minor) in CHARACTER_DEVICES {
        let device = (SFlag::S_IFCHR, makedev(major, minor));
        make_node(dev, Path::new(name), device, 0o666).or_fault(|| format!("make /dev/{name}"))?;
    }
    for device in wanted(spec) {
        make_device(root, device).or_fault(|| format!("make {}", device.path().display()))?;
    }
    Ok(())
}

fn wanted(spec: &Spec) -> &[LinuxDevice] {
    let devices = spec.linux().as_ref().and_then(|l| l.devices().as_deref());
    devices.unwrap_or_default()
}

/// Copies of the host's devices, for a container whose root cannot make any.
pub fn open_host(spec: &Spec) -> Result<Vec<(PathBuf, OwnedFd)>, Fault> {
    let defaults = CHARACTER_DEVICES.map(|(name, ..)| Path::new("/dev").join(name));
    let wanted = wanted(spec).iter().map(|d| d.path().clone());
    let open = |path: PathBuf| {
        let device = clone_tree(AT_FDCWD, &path, Reach::This)
            .or_fault(|| format!("bind the host's {}", path.display()))?;
        Ok((path, device))
    };
    defaults.into_iter().chain(wanted).map(open).collect()
}

fn bind(root: BorrowedFd<'_>, path: &Path, device: &OwnedFd) -> io::Result<()> {
    let place = make_file(root, path, Links::Refused)?;
    attach(device.as_fd(), place.as_fd())
}

fn open_null(dev: BorrowedFd<'_>) -> Result<Option<OwnedFd>, Fault> {
    let what = || "open /dev/null".to_owned();
    let null = open_in_root(
        dev,
        Path::new("null"),
        OFlag::O_PATH,
        Mode::empty(),
        Links::Refused,
    );
    let null = match null {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        null => null.or_fault(what)?,
    };
    let meta = fstat(&null).or_fault(what)?;
    let is_character = SFlag::from_bits_truncate(meta.st_mode) & SFlag::S_IFMT == SFlag::S_IFCHR;
    if is_character && (major(meta.st_rdev), minor(meta.st_rdev)) == (1, 3) {
        return Ok(Some(null));
    }
    Err(Fault::Create(
        "the container's /dev/null is not the null device".into(),
    ))
}

fn make_device(root: BorrowedFd<'_>, device: &LinuxDevice) -> nix::Result<()> {
    let kind = match device.typ() {
        LinuxDeviceType::B => SFlag::S_IFBLK,
        LinuxDeviceType::P => SFlag::S_IFIFO,
        LinuxDeviceType::C | LinuxDeviceType::U => SFlag::S_IFCHR,
        LinuxDeviceType::A => return Err(Errno::EINVAL),
    };
    if !device.path().is_absolute() {
        return Err(Errno::EINVAL);
    }
    let number = |n: i64| u64::try_from(n).map_err(|_| Errno::EINVAL);
    let id = makedev(number(device.major())?, number(device.minor())?);
    let (parent, name) = device
        .path()
        .parent()
        .zip(device.path().file_name())
        .ok_or(Errno::EINVAL)?;
    let dir = make_dir(root, parent, Links::Refused)
        .map_err(|e| e.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
    let mode = device.file_mode().unwrap_or(0o666) & 0o777;
    if !make_node(dir.as_fd(), Path::new(name), (kind, id), mode)? {
        return Ok(());
    }
    let (uid, gid) = (
        device.uid().map(Uid::from_raw),
        device.gid().map(Gid::from_raw),
    );
    fchownat(&dir, name, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW)
}

/// Says whether it was made; one already there stays.
fn make_node(
    dir: BorrowedFd<'_>,
    name: &Path,
    (kind, id): (SFlag, u64),
    mode: u32,
) -> nix::Result<bool> {
    // mknod(2) takes the umask off. A change of the mode afterwards would follow a link, and
    // a volume at /dev may be another container's too, which puts one there in between.
    let before = umask(Mode::empty());
    let made = mknodat(dir, name, kind, Mode::from_bits_truncate(mode), id);
    umask(before);
    match made {
        Err(Errno::EEXIST) => Ok(false),
        made => made.map(|()| true),
    }
}

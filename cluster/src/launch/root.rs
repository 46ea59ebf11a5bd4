//! A node's root directory and what is mounted there.
//!
//! The node sees of this machine its kernel, the certificates it trusts, its time
//! zones, and what the configuration mounts; nothing of its other files.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, openat};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, SFlag, makedev, mkdirat, mknod, umask};
use runtime::Layout;
use sys::mount::{Attributes, Change, Propagation, Reach};
use sys::path::{Links, open_in_root};

use super::Setup;
use crate::error::{Result, file, kernel};
use crate::plan::Mount;

/// Of this machine, read-only, where it has them.
const SHOWN: [&str; 5] = [
    "etc/ssl",
    "etc/pki",
    "usr/share/ca-certificates",
    "usr/local/share/ca-certificates",
    "usr/share/zoneinfo",
];

const DEVICES: [(&str, u64, u64); 9] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("kmsg", 1, 11),
    ("tty", 5, 0),
    ("fuse", 10, 229),
    ("net/tun", 10, 200),
];

const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
];

/// Makes the node's root the calling process's. Its mounts must be cut off already.
pub fn enter(setup: &Setup, layout: &Layout) -> Result<()> {
    let root = &setup.root;
    umask(Mode::empty());
    bind(root, root)?;
    kernel_files(root)?;
    groups(&root.join("sys/fs/cgroup"), layout)?;
    devices(&root.join("dev"))?;
    on(root, "run", "tmpfs", SAFE, "mode=755")?;
    let root_fd = File::open(root).map_err(file("open", root))?;
    show(
        &root_fd,
        &setup.program_dir,
        Path::new("usr/local/bin"),
        false,
    )?;
    for path in SHOWN {
        let source = Path::new("/").join(path);
        if source.exists() {
            show(&root_fd, &source, Path::new(path), false)?;
        }
    }
    for extra in &setup.mounts {
        extra_mount(&root_fd, extra)?;
    }
    umask(Mode::from_bits_truncate(0o022));
    sys::mount::pivot(&root_fd).map_err(kernel("enter the node's root"))
}

const SAFE: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV);

fn bind(from: &Path, to: &Path) -> Result<()> {
    let bound = mount(Some(from), to, None::<&str>, MsFlags::MS_BIND, None::<&str>);
    bound.map_err(kernel(format!("bind {}", to.display())))?;
    let private = mount(
        None::<&str>,
        to,
        None::<&str>,
        MsFlags::MS_PRIVATE,
        None::<&str>,
    );
    private.map_err(kernel(format!("make {} private", to.display())))
}

fn on(root: &Path, target: &str, kind: &str, flags: MsFlags, data: &str) -> Result<()> {
    let target = root.join(target);
    match fs::create_dir(&target) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        made => made.map_err(file("create", &target))?,
    }
    let mounted = mount(Some(kind), &target, Some(kind), flags, Some(data));
    mounted.map_err(kernel(format!("mount {kind} on {}", target.display())))
}

fn kernel_files(root: &Path) -> Result<()> {
    let safe = SAFE | MsFlags::MS_NOEXEC;
    on(root, "proc", "proc", safe, "")?;
    on(root, "sys", "sysfs", safe, "")
}

/// The groups as the node sees them: its own is the root of each hierarchy.
fn groups(dir: &Path, layout: &Layout) -> Result<()> {
    let safe = SAFE | MsFlags::MS_NOEXEC;
    let (hierarchies, unified) = match layout {
        Layout::V2 { .. } => return on(dir, "", "cgroup2", safe, ""),
        Layout::V1 {
            hierarchies,
            unified,
        } => (hierarchies, unified),
    };
    on(dir, "", "tmpfs", safe, "mode=755")?;
    for hierarchy in hierarchies {
        on(
            dir,
            &hierarchy.name,
            "cgroup",
            safe,
            &hierarchy.controllers.join(","),
        )?;
    }
    match unified {
        Some(_) => on(dir, "unified", "cgroup2", safe, ""),
        None => Ok(()),
    }
}

fn devices(dev: &Path) -> Result<()> {
    on(dev, "", "tmpfs", MsFlags::MS_NOSUID, "mode=755")?;
    let net = dev.join("net");
    let made = fs::DirBuilder::new().mode(0o755).create(&net);
    made.map_err(file("create", &net))?;
    for (name, major, minor) in DEVICES {
        let (path, mode) = (dev.join(name), Mode::from_bits_truncate(0o666));
        mknod(&path, SFlag::S_IFCHR, mode, makedev(major, minor))
            .map_err(kernel(format!("make {}", path.display())))?;
    }
    for (to, name) in LINKS {
        symlink(to, dev.join(name)).map_err(file("link", &dev.join(name)))?;
    }
    let safe = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    on(
        dev,
        "pts",
        "devpts",
        safe,
        "newinstance,ptmxmode=0666,mode=0620,gid=5",
    )?;
    on(dev, "shm", "tmpfs", SAFE, "mode=1777")?;
    on(dev, "mqueue", "mqueue", SAFE | MsFlags::MS_NOEXEC, "")
}

/// Shows `source` of this machine at `target` of the node, read-only.
fn show(root: &File, source: &Path, target: &Path, follows: bool) -> Result<()> {
    let mount = Mount {
        host_path: source.to_owned(),
        container_path: target.to_owned(),
        is_read_only: true,
        follows_host: follows,
    };
    extra_mount(root, &mount)
}

/// Whatever a pod has made of the node's directories, nothing is mounted outside
/// of them: the target is looked up with the node's root as `/`.
fn extra_mount(root: &File, wanted: &Mount) -> Result<()> {
    let source = File::open(&wanted.host_path).map_err(file("open", &wanted.host_path))?;
    let is_dir = source.metadata().is_ok_and(|source| source.is_dir());
    let doing = || format!("mount {} in the node", wanted.host_path.display());
    let tree = sys::mount::clone_tree(source.as_fd(), Path::new(""), Reach::Recursive);
    let tree = tree.map_err(kernel(doing()))?;
    let change = Change {
        set: if wanted.is_read_only {
            Attributes::READ_ONLY
        } else {
            Attributes::default()
        },
        propagation: (!wanted.follows_host).then_some(Propagation::Private),
        ..Change::default()
    };
    sys::mount::change(tree.as_fd(), change, Reach::Recursive).map_err(kernel(doing()))?;
    let target = target(root, &wanted.container_path, is_dir)?;
    sys::mount::attach(tree.as_fd(), target.as_fd()).map_err(kernel(doing()))
}

/// The place to mount on, made where it is missing.
fn target(root: &File, path: &Path, is_dir: bool) -> Result<OwnedFd> {
    let look = |path: &Path| {
        open_in_root(
            root.as_fd(),
            path,
            OFlag::O_PATH,
            Mode::empty(),
            Links::InRoot,
        )
    };
    let mut parent = PathBuf::from(".");
    let mut components = path.components().peekable();
    while let Some(name) = components.next() {
        let below = parent.join(name);
        match look(&below) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let parent = look(&parent).map_err(file("open", &parent))?;
                let name: &Path = name.as_ref();
                make(&parent, name, is_dir || components.peek().is_some())
                    .map_err(|error| file("create", &below)(error.into()))?;
            }
            found => drop(found.map_err(file("open", &below))?),
        }
        parent = below;
    }
    look(&parent).map_err(file("open", path))
}

fn make(parent: &OwnedFd, name: &Path, is_dir: bool) -> nix::Result<()> {
    if is_dir {
        return mkdirat(parent, name, Mode::from_bits_truncate(0o755));
    }
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    openat(parent, name, flags, Mode::from_bits_truncate(0o644)).map(drop)
}

//! The mounts of the OCI spec.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, OFlag};
use nix::sys::stat::{Mode, SFlag, fstat, mkdirat};
use nix::unistd::symlinkat;
use oci_spec::runtime::Mount;
use sys::mount::{Attributes, Change, Filesystem, Propagation, Reach, attach, change, clone_tree};
use sys::path::{Links, open_in_root};

use super::options::Options;
use super::rootfs::{make_dir, make_file};
use super::sources::Host;
use super::{Fault, OrFault};
use crate::cgroup::Group;

/// A mount of the spec with its source in hand.
pub struct Prepared {
    target: PathBuf,
    options: Options,
    source: Source,
}

enum Source {
    /// A copy of a host tree, or of the pod's `/dev/shm`.
    Tree(OwnedFd),
    /// A new file system of this kind.
    New(String),
    /// On cgroup v1: each hierarchy's name and a copy of the container's group in it.
    Hierarchies(Vec<(String, OwnedFd)>),
}

/// Opens the host's side of every mount while the host's mounts are in sight.
pub fn open_sources(host: &Host<'_>) -> Result<Vec<Prepared>, Fault> {
    let mounts = host.spec.mounts().iter().flatten();
    mounts.map(|mount| prepare(mount, host)).collect()
}

fn prepare(mount: &Mount, host: &Host<'_>) -> Result<Prepared, Fault> {
    let (group, shm) = (host.group, host.shm);
    let words = mount.options().as_deref().unwrap_or_default();
    let mut options = Options::parse(words);
    let kind = mount.typ().as_deref().unwrap_or("none");
    let source = mount.source().clone().unwrap_or_default();
    let what = || {
        format!(
            "mount {} at {}",
            source.display(),
            mount.destination().display()
        )
    };
    let source = match (kind, shm) {
        _ if options.bind.is_some() || kind == "bind" => {
            let source = host.base.join(&source);
            Source::Tree(clone_tree(AT_FDCWD, &source, options.reach()).or_fault(what)?)
        }
        ("tmpfs", Some(shm)) if source == Path::new("shm") => {
            Source::Tree(shm.copy().or_fault(what)?)
        }
        ("cgroup" | "cgroup2", _) if group.is_v2() => Source::New("cgroup2".into()),
        ("cgroup" | "cgroup2", _) => Source::Hierarchies(open_hierarchies(group)?),
        (kind, _) => Source::New(kind.to_owned()),
    };
    if matches!(source, Source::Tree(_)) {
        // They were the original's.
        options.data.clear();
    }
    Ok(Prepared {
        target: mount.destination().clone(),
        options,
        source,
    })
}

fn open_hierarchies(group: &Group) -> Result<Vec<(String, OwnedFd)>, Fault> {
    let clone = |(name, dir): (String, PathBuf)| {
        let tree = clone_tree(AT_FDCWD, &dir, Reach::This)
            .or_fault(|| format!("bind {}", dir.display()))?;
        Ok((name, tree))
    };
    group.directories().into_iter().map(clone).collect()
}

/// Mounts everything beneath `root`, in the spec's order.
pub fn mount_all(root: BorrowedFd<'_>, mounts: Vec<Prepared>) -> Result<(), Fault> {
    for mount in mounts {
        let target = mount.target.clone();
        mount_one(root, mount).map_err(|fault| match fault {
            Fault::Create(why) => {
                Fault::Create(format!("error mounting at {:?}: {why}", target.display()))
            }
            fault => fault,
        })?;
    }
    Ok(())
}

fn mount_one(root: BorrowedFd<'_>, mount: Prepared) -> Result<(), Fault> {
    let Prepared {
        target,
        options,
        source,
    } = mount;
    match source {
        Source::Tree(tree) => {
            adjust(&tree, &options)?;
            let at = target_of(root, &target, &tree)?;
            attach(tree.as_fd(), at.as_fd()).or_fault(|| "attach".into())
        }
        Source::New(kind) => {
            let tree = new_filesystem(&kind, &options)?;
            // Nothing can show a container another /proc than this (CVE-2023-27561).
            let links = match kind.as_str() {
                "proc" | "sysfs" => Links::Refused,
                _ => Links::InRoot,
            };
            let at = make_dir(root, &target, links).or_fault(|| "make the directory".into())?;
            attach(tree.as_fd(), at.as_fd()).or_fault(|| "attach".into())
        }
        Source::Hierarchies(trees) => mount_hierarchies(root, &target, &options, trees),
    }
}

/// The place to mount a tree on: a directory for a directory, a file for all else.
fn target_of(root: BorrowedFd<'_>, target: &Path, tree: &OwnedFd) -> Result<OwnedFd, Fault> {
    let meta = fstat(tree).or_fault(|| "look at the source".into())?;
    let is_dir = SFlag::from_bits_truncate(meta.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR;
    let make = if is_dir { make_dir } else { make_file };
    make(root, target, Links::InRoot).or_fault(|| "make the mount point".into())
}

fn adjust(tree: &OwnedFd, options: &Options) -> Result<(), Fault> {
    let what = || "set the mount's attributes".to_owned();
    let default = (Propagation::Private, Reach::Recursive);
    let (propagation, reach) = options.propagation.unwrap_or(default);
    let propagate = Change {
        propagation: Some(propagation),
        ..Change::default()
    };
    change(tree.as_fd(), propagate, reach).or_fault(what)?;
    if options.change() != Change::default() {
        change(tree.as_fd(), options.change(), Reach::This).or_fault(what)?;
    }
    if !options.recursive.is_empty() {
        let all = Change {
            set: options.recursive,
            ..Change::default()
        };
        change(tree.as_fd(), all, Reach::Recursive).or_fault(what)?;
    }
    Ok(())
}

fn new_filesystem(kind: &str, options: &Options) -> Result<OwnedFd, Fault> {
    let what = || format!("make a file system of type {kind:?}");
    let filesystem = Filesystem::open(kind).or_fault(what)?;
    for (key, value) in &options.data {
        let option = || format!("option {key:?} of a {kind}");
        match value {
            Some(value) => filesystem.set(key, value.as_bytes()).or_fault(option)?,
            None => filesystem.set_flag(key).or_fault(option)?,
        }
    }
    filesystem.mount(options.set).or_fault(what)
}

/// A tmpfs with one directory a hierarchy, each showing the container's own group.
fn mount_hierarchies(
    root: BorrowedFd<'_>,
    target: &Path,
    options: &Options,
    trees: Vec<(String, OwnedFd)>,
) -> Result<(), Fault> {
    let closed = Attributes::NO_SUID | Attributes::NO_DEV | Attributes::NO_EXEC;
    let tmpfs = sys::mount::tmpfs(&[("mode", "755")], closed).or_fault(|| "make a tmpfs".into())?;
    let at = make_dir(root, target, Links::InRoot).or_fault(|| "make the directory".into())?;
    attach(tmpfs.as_fd(), at.as_fd()).or_fault(|| "attach".into())?;
    for (name, tree) in trees {
        mount_hierarchy(&tmpfs, options, &name, &tree).or_fault(|| format!("attach {name}"))?;
    }
    Ok(())
}

fn mount_hierarchy(
    tmpfs: &OwnedFd,
    options: &Options,
    name: &str,
    tree: &OwnedFd,
) -> io::Result<()> {
    let own = Change {
        propagation: Some(Propagation::Private),
        ..options.change()
    };
    change(tree.as_fd(), own, Reach::This)?;
    mkdirat(tmpfs, name, Mode::from_bits_truncate(0o755))?;
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    let at = open_in_root(
        tmpfs.as_fd(),
        Path::new(name),
        flags,
        Mode::empty(),
        Links::Refused,
    )?;
    attach(tree.as_fd(), at.as_fd())?;
    // `cpu,cpuacct` is known by either name.
    let others = name.split(',').filter(|other| *other != name);
    others
        .into_iter()
        .try_for_each(|other| Ok(symlinkat(name, tmpfs, other)?))
}

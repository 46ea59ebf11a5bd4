//! The mounts of the OCI spec.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::fcntl::{AT_FDCWD, OFlag};
use nix::sys::stat::{Mode, SFlag, fstat, mkdirat};
use nix::unistd::symlinkat;
use oci_spec::runtime::{Mount, Spec};
use sys::mount::{Attributes, Change, Filesystem, Propagation, Reach, attach, change, clone_tree};
use sys::path::{Links, open_in_root};

use super::options::{Options, Recursive};
use super::rootfs::{make_dir, make_file};
use super::sources::Host;
use super::{Fault, OrFault, procfs};
use crate::cgroup::Group;

/// More would keep the kernel busy for minutes, and everybody else who mounts.
const MAX_MOUNTS: usize = 10_000;

/// A mount of the spec with its source in hand.
pub struct Prepared {
    target: PathBuf,
    options: Options,
    source: Source,
}

enum Source {
    /// A copy of a host tree, or of the pod's `/dev/shm`.
    Tree(OwnedFd),
    /// A new file system of this kind, from what it names as its source.
    New(String, PathBuf),
    /// On cgroup v1: each hierarchy's name and a copy of the container's group in it.
    Hierarchies(Vec<(String, OwnedFd)>),
    /// What is mounted there already.
    Remount,
}

/// Opens the host's side of every mount while the host's mounts are in sight.
pub fn open_sources(host: &Host<'_>) -> Result<Vec<Prepared>, Fault> {
    let mounts = host.spec.mounts().as_deref().unwrap_or_default();
    if mounts.len() > MAX_MOUNTS {
        let asked = mounts.len();
        return Err(Fault::Create(format!(
            "the spec has {asked} mounts: at most {MAX_MOUNTS} are made"
        )));
    }
    mounts.iter().map(|mount| prepare(mount, host)).collect()
}

fn prepare(mount: &Mount, host: &Host<'_>) -> Result<Prepared, Fault> {
    let words = mount.options().as_deref().unwrap_or_default();
    let mut options = Options::parse(words);
    let source = mount.source().clone().unwrap_or_default();
    let what = || {
        let target = mount.destination().display();
        format!("mount {} at {target}", source.display())
    };
    let has_maps = mount.uid_mappings().is_some() || mount.gid_mappings().is_some();
    let source = open_source(mount, &options, host).or_fault(what)?;
    match (&source, has_maps || options.idmap.is_some()) {
        (Source::Tree(tree), true) => {
            let users = host.users_of(mount)?;
            let reach = options.idmap.unwrap_or(Reach::This);
            sys::mount::map_ids(tree.as_fd(), users.as_fd(), reach)
                .or_fault(|| format!("{}: map its ids", what()))?;
        }
        (_, true) => {
            return Err(Fault::Create(format!(
                "{}: ids are mapped in bind mounts only",
                what()
            )));
        }
        (_, false) => {}
    }
    match &source {
        // They were the original's.
        Source::Tree(_) => options.data.clear(),
        Source::New(kind, _) if !UNLABELLED.contains(&kind.as_str()) => {
            let label = super::labels::mount_label(host.spec);
            let context = label.map(|l| ("context".to_owned(), Some(l.to_owned())));
            options.data.extend(context);
        }
        _ => {}
    }
    Ok(Prepared {
        target: in_root(mount.destination()),
        options,
        source,
    })
}

/// The path as its words say, with nothing above the root (config.md, "Mounts").
fn in_root(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    clean
}

/// SELinux has labels of its own for what is in these.
const UNLABELLED: [&str; 4] = ["cgroup2", "mqueue", "proc", "sysfs"];

fn open_source(mount: &Mount, options: &Options, host: &Host<'_>) -> io::Result<Source> {
    let kind = mount.typ().as_deref().unwrap_or("none");
    let source = mount.source().clone().unwrap_or_default();
    Ok(match (kind, host.shm) {
        _ if options.is_remount => Source::Remount,
        _ if options.bind.is_some() || kind == "bind" => {
            let source = host.base.join(&source);
            Source::Tree(clone_tree(AT_FDCWD, &source, options.reach())?)
        }
        ("tmpfs", Some(shm)) if source == Path::new("shm") => Source::Tree(shm.copy()?),
        ("cgroup" | "cgroup2", _) if host.group.is_v2() => Source::New("cgroup2".into(), source),
        ("cgroup" | "cgroup2", _) => Source::Hierarchies(open_hierarchies(host.group)?),
        (kind, _) => Source::New(kind.to_owned(), source),
    })
}

fn open_hierarchies(group: &Group) -> io::Result<Vec<(String, OwnedFd)>> {
    let clone = |(name, dir): (String, PathBuf)| {
        let tree = clone_tree(AT_FDCWD, &dir, Reach::This)?;
        Ok((name, tree))
    };
    group.directories().into_iter().map(clone).collect()
}

/// A mount that is to propagate as its own options say, whatever the root's do.
pub struct Propagating {
    tree: OwnedFd,
    as_asked: (Propagation, Reach),
}

/// Undoes what the root's propagation did to mounts with one of their own.
pub fn restore_propagation(mounts: &[Propagating], spec: &Spec) -> Result<(), Fault> {
    let linux = spec.linux().as_ref();
    if linux.is_none_or(|l| l.rootfs_propagation().is_none()) {
        return Ok(());
    }
    mounts.iter().try_for_each(|mount| {
        let (propagation, reach) = mount.as_asked;
        propagate(&mount.tree, propagation, reach)
    })
}

/// Mounts everything beneath `root`, in the spec's order.
pub fn mount_all(root: BorrowedFd<'_>, mounts: Vec<Prepared>) -> Result<Vec<Propagating>, Fault> {
    let mut propagating = Vec::new();
    for mount in mounts {
        let target = mount.target.clone();
        let as_asked = mount.options.propagation;
        let tree = mount_one(root, mount).map_err(|fault| match fault {
            Fault::Create(why) => {
                Fault::Create(format!("error mounting at {:?}: {why}", target.display()))
            }
            fault => fault,
        })?;
        propagating.extend(as_asked.map(|as_asked| Propagating { tree, as_asked }));
    }
    Ok(propagating)
}

/// Gives what it mounted.
fn mount_one(root: BorrowedFd<'_>, mount: Prepared) -> Result<OwnedFd, Fault> {
    let Prepared {
        target,
        options,
        source,
    } = mount;
    match source {
        Source::Tree(tree) => {
            adjust(&tree, &options)?;
            let at = target_of(root, &target, &tree)?;
            procfs::check_target(&target, at.as_fd(), tree.as_fd())?;
            attach(tree.as_fd(), at.as_fd()).or_fault(|| "attach".into())?;
            Ok(tree)
        }
        Source::New(kind, source) => mount_new(root, &target, &options, &kind, &source),
        Source::Hierarchies(trees) => mount_hierarchies(root, &target, &options, trees),
        Source::Remount => {
            let flags = OFlag::O_PATH;
            let at = open_in_root(root, &target, flags, Mode::empty(), Links::InRoot)
                .or_fault(|| "open the mount point".into())?;
            change_all(&at, &options)?;
            Ok(at)
        }
    }
}

fn mount_new(
    root: BorrowedFd<'_>,
    target: &Path,
    options: &Options,
    kind: &str,
    source: &Path,
) -> Result<OwnedFd, Fault> {
    // Nothing can show a container another /proc than this (CVE-2023-27561).
    let links = match kind {
        "proc" | "sysfs" => Links::Refused,
        _ => Links::InRoot,
    };
    let (at, is_new) = match open_in_root(root, target, DIRECTORY, Mode::empty(), links) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => (
            make_dir(root, target, links).or_fault(|| "make the directory".into())?,
            true,
        ),
        at => (at.or_fault(|| "open the mount point".into())?, false),
    };
    let mut data = options.data.clone();
    if kind == "tmpfs" && !is_new && !data.iter().any(|(key, _)| key == "mode") {
        // As runc: it looks like what it covers.
        let meta = fstat(&at).or_fault(|| "look at the directory".into())?;
        data.push(("mode".into(), Some(format!("{:o}", meta.st_mode & 0o7777))));
    }
    let tree = new_filesystem(kind, source, options.set, &data)?;
    procfs::check_target(target, at.as_fd(), tree.as_fd())?;
    if options.copies_up && kind == "tmpfs" {
        copy_up(&at, &tree, options)?;
    }
    if options.propagation.is_some() || options.recursive != Recursive::default() {
        adjust(&tree, options)?;
    }
    attach(tree.as_fd(), at.as_fd()).or_fault(|| "attach".into())?;
    Ok(tree)
}

const DIRECTORY: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY);

fn copy_up(from: &OwnedFd, to: &OwnedFd, options: &Options) -> Result<(), Fault> {
    let what = || "copy up what the image has there".to_owned();
    let is_read_only = options.set.contains(Attributes::READ_ONLY);
    let read_only = |set: bool| {
        let (set, clear) = match set {
            true => (Attributes::READ_ONLY, Attributes::default()),
            false => (Attributes::default(), Attributes::READ_ONLY),
        };
        let to_this = Change {
            set,
            clear,
            ..Change::default()
        };
        change(to.as_fd(), to_this, Reach::This)
    };
    if is_read_only {
        read_only(false).or_fault(what)?;
    }
    super::copy_up::copy(from.as_fd(), to.as_fd()).or_fault(what)?;
    if is_read_only {
        read_only(true).or_fault(what)?;
    }
    Ok(())
}

/// The place to mount a tree on: a directory for a directory, a file for all else.
fn target_of(root: BorrowedFd<'_>, target: &Path, tree: &OwnedFd) -> Result<OwnedFd, Fault> {
    let meta = fstat(tree).or_fault(|| "look at the source".into())?;
    let is_dir = SFlag::from_bits_truncate(meta.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR;
    let make = if is_dir { make_dir } else { make_file };
    make(root, target, Links::InRoot).or_fault(|| "make the mount point".into())
}

fn adjust(tree: &OwnedFd, options: &Options) -> Result<(), Fault> {
    let default = (Propagation::Private, Reach::Recursive);
    let (propagation, reach) = options.propagation.unwrap_or(default);
    propagate(tree, propagation, reach)?;
    change_all(tree, options)
}

fn propagate(tree: &OwnedFd, propagation: Propagation, reach: Reach) -> Result<(), Fault> {
    let wanted = Change {
        propagation: Some(propagation),
        ..Change::default()
    };
    change(tree.as_fd(), wanted, reach).or_fault(|| "set the mount's propagation".to_owned())
}

fn change_all(tree: &OwnedFd, options: &Options) -> Result<(), Fault> {
    let what = || "set the mount's attributes".to_owned();
    // From the whole to the part: `rro,rw` leaves the upmost one writable.
    let changes = [
        (options.recursive_change(), Reach::Recursive),
        (options.change(), Reach::This),
    ];
    for (wanted, reach) in changes {
        if wanted != Change::default() {
            change(tree.as_fd(), wanted, reach).or_fault(what)?;
        }
    }
    Ok(())
}

fn new_filesystem(
    kind: &str,
    source: &Path,
    attributes: Attributes,
    data: &[(String, Option<String>)],
) -> Result<OwnedFd, Fault> {
    let what = || format!("make a file system of type {kind:?}");
    let filesystem = Filesystem::open(kind).or_fault(what)?;
    if !source.as_os_str().is_empty() {
        let source = source.as_os_str().as_encoded_bytes();
        filesystem.set("source", source).or_fault(what)?;
    }
    for (key, value) in data {
        let option = || format!("option {key:?} of a {kind}");
        match value {
            Some(value) => filesystem.set(key, value.as_bytes()).or_fault(option)?,
            None => filesystem.set_flag(key).or_fault(option)?,
        }
    }
    filesystem.mount(attributes).or_fault(what)
}

/// A tmpfs with one directory a hierarchy, each showing the container's own group.
fn mount_hierarchies(
    root: BorrowedFd<'_>,
    target: &Path,
    options: &Options,
    trees: Vec<(String, OwnedFd)>,
) -> Result<OwnedFd, Fault> {
    let closed = Attributes::NO_SUID | Attributes::NO_DEV | Attributes::NO_EXEC;
    let tmpfs = sys::mount::tmpfs(&[("mode", "755")], closed).or_fault(|| "make a tmpfs".into())?;
    let at = make_dir(root, target, Links::InRoot).or_fault(|| "make the directory".into())?;
    procfs::check_target(target, at.as_fd(), tmpfs.as_fd())?;
    attach(tmpfs.as_fd(), at.as_fd()).or_fault(|| "attach".into())?;
    for (name, tree) in trees {
        mount_hierarchy(&tmpfs, options, &name, &tree).or_fault(|| format!("attach {name}"))?;
    }
    // It stays writable, as runc's does: there is nothing in it but places to mount on.
    Ok(tmpfs)
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
    let at = open_in_root(
        tmpfs.as_fd(),
        Path::new(name),
        DIRECTORY,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_has_nothing_above_the_root() {
        let cleaned = |path| in_root(Path::new(path));
        assert_eq!(cleaned("/../../mnt"), Path::new("/mnt"));
        assert_eq!(cleaned("relative/./deep/../er"), Path::new("/relative/er"));
        assert_eq!(cleaned("/a/../../.."), Path::new("/"));
    }
}

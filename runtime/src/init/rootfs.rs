//! The container's root file system, and paths in it that cannot leave it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::fcntl::OFlag;
use nix::mount::MsFlags;
use nix::sys::stat::{Mode, SFlag, mkdirat, mknodat};
use oci_spec::runtime::Spec;
use sys::mount::{Attributes, Change, Propagation, Reach};
use sys::path::{Links, open_in_root};

use super::{Fault, OrFault, open_path};
use crate::config::Rootfs;

/// Mounts the root at `staging`, in this mount namespace only; `tree` is a copy of a directory's.
pub fn mount(rootfs: &Rootfs, tree: Option<OwnedFd>, staging: &Path) -> Result<OwnedFd, Fault> {
    match (rootfs, tree) {
        (_, Some(tree)) => place(tree, staging)?,
        (Rootfs::Overlay { lower, upper, work }, None) => overlay(lower, upper, work, staging)?,
        (Rootfs::Dir(_), None) => return Err(Fault::Create("the root was not opened".into())),
    }
    open_path(staging).or_fault(|| "open the root file system".into())
}

fn place(tree: OwnedFd, staging: &Path) -> Result<(), Fault> {
    let what = || "attach the root file system".to_owned();
    let cut_off = Change {
        // Of what is mounted from here on nothing goes back; what the spec says comes after the pivot.
        propagation: Some(Propagation::Slave),
        ..Change::default()
    };
    sys::mount::change(tree.as_fd(), cut_off, Reach::Recursive).or_fault(what)?;
    let target = open_path(staging).or_fault(what)?;
    sys::mount::attach(tree.as_fd(), target.as_fd()).or_fault(what)
}

/// The layers go by descriptor: their paths would not fit the page that mount(2) takes.
fn overlay(lower: &[PathBuf], upper: &Path, work: &Path, staging: &Path) -> Result<(), Fault> {
    let open =
        |path: &Path| open_path(path).or_fault(|| format!("open the layer {}", path.display()));
    let layers: Vec<OwnedFd> = lower
        .iter()
        .rev()
        .map(|l| open(l))
        .collect::<Result<_, _>>()?;
    let (upper, work) = (open(upper)?, open(work)?);
    let by_fd = |fd: &OwnedFd| format!("/proc/self/fd/{}", fd.as_raw_fd());
    let lower: Vec<String> = layers.iter().map(by_fd).collect();
    // "volatile": a container's own layer dies with it, so nothing of it needs to reach the disk.
    let data = format!(
        "volatile,lowerdir={},upperdir={},workdir={}",
        lower.join(":"),
        by_fd(&upper),
        by_fd(&work)
    );
    nix::mount::mount(
        Some("overlay"),
        staging,
        Some("overlay"),
        MsFlags::empty(),
        Some(data.as_str()),
    )
    .or_fault(|| format!("mount the overlay of {} layers", layers.len()))
}

/// Makes it the root of this process, read-only and propagating as the spec says.
pub fn finish(root: &OwnedFd, spec: &Spec, no_pivot: bool) -> Result<(), Fault> {
    if no_pivot {
        sys::mount::move_to_root(root)
    } else {
        sys::mount::pivot(root)
    }
    .or_fault(|| "change to the container's root".into())?;
    let is_read_only = spec.root().as_ref().and_then(|r| r.readonly());
    if is_read_only.unwrap_or(false) {
        let read_only = Change {
            set: Attributes::READ_ONLY,
            ..Change::default()
        };
        sys::mount::change(root.as_fd(), read_only, Reach::This)
            .or_fault(|| "make the root file system read-only".into())?;
    }
    propagate(root, spec)
}

fn propagate(root: &OwnedFd, spec: &Spec) -> Result<(), Fault> {
    let wanted = spec.linux().as_ref();
    let wanted = wanted.and_then(|l| l.rootfs_propagation().as_deref());
    let Some(word) = wanted.filter(|w| !w.is_empty()) else {
        return Ok(());
    };
    let (propagation, reach) = super::options::propagation(word)
        .ok_or_else(|| Fault::Create(format!("rootfsPropagation={word} is not supported")))?;
    let change = Change {
        propagation: Some(propagation),
        ..Change::default()
    };
    sys::mount::change(root.as_fd(), change, reach)
        .or_fault(|| format!("make the root file system's propagation {word}"))
}

/// Makes the working directory where the image lacks it, as Kubernetes expects.
pub fn make_cwd(root: BorrowedFd<'_>, cwd: &Path) -> Result<(), Fault> {
    // What is there and no directory, or not to be made, chdir will tell in runc's words.
    let _ = make_dir(root, cwd, Links::InRoot);
    Ok(())
}

/// Opens a directory of the container, making what is missing of it.
pub fn make_dir(root: BorrowedFd<'_>, path: &Path, links: Links) -> io::Result<OwnedFd> {
    let open = |path: &Path| {
        open_in_root(
            root,
            path,
            OFlag::O_PATH | OFlag::O_DIRECTORY,
            Mode::empty(),
            links,
        )
    };
    match open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        found => return found,
    }
    // Component by component, each made in the directory just opened (CVE-2024-45310).
    let mut walked = PathBuf::from("/");
    let mut dir = open(&walked)?;
    for component in path.components() {
        let name = match component {
            Component::Normal(name) => name,
            Component::ParentDir => return Err(io::ErrorKind::InvalidInput.into()),
            _ => continue,
        };
        walked.push(name);
        dir = match open(&walked) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                make_one(dir.as_fd(), Path::new(name))?;
                open(&walked)?
            }
            found => found?,
        };
    }
    Ok(dir)
}

fn make_one(dir: BorrowedFd<'_>, name: &Path) -> io::Result<()> {
    match mkdirat(dir, name, Mode::from_bits_truncate(0o755)) {
        Err(nix::errno::Errno::EEXIST) | Ok(()) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// Opens a file of the container to mount on, making an empty one where none is.
pub fn make_file(root: BorrowedFd<'_>, path: &Path, links: Links) -> io::Result<OwnedFd> {
    let open = || open_in_root(root, path, OFlag::O_PATH, Mode::empty(), links);
    match open() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        found => return found,
    }
    let (parent, name) = path
        .parent()
        .zip(path.file_name())
        .ok_or(io::ErrorKind::InvalidInput)?;
    let dir = make_dir(root, parent, links)?;
    // mknod(2) never follows a link and never opens anything.
    match mknodat(
        &dir,
        name,
        SFlag::S_IFREG,
        Mode::from_bits_truncate(0o644),
        0,
    ) {
        Err(nix::errno::Errno::EEXIST) | Ok(()) => open(),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
    use std::sync::atomic::{AtomicBool, Ordering};

    /// Runs `step` thousands of times while another thread swaps `root/place` for a link to `outside`.
    fn race(step: impl Fn(BorrowedFd<'_>, u32)) {
        let dir = tempfile::tempdir().unwrap();
        let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
        std::fs::create_dir_all(root.join("place")).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::os::unix::fs::symlink(&outside, root.join("link")).unwrap();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let swap = || {
                while !is_over.load(Ordering::Relaxed) {
                    let (one, other) = (root.join("place"), root.join("link"));
                    let exchange = RenameFlags::RENAME_EXCHANGE;
                    renameat2(AT_FDCWD, &one, AT_FDCWD, &other, exchange).unwrap();
                }
            };
            let attacker = scope.spawn(swap);
            let root = open_path(&root).unwrap();
            (0..5_000).for_each(|round| step(root.as_fd(), round));
            is_over.store(true, Ordering::Relaxed);
            attacker.join().unwrap();
        });
        let made = std::fs::read_dir(&outside).unwrap();
        assert_eq!(made.count(), 0, "something was made outside");
    }

    #[test]
    fn a_directory_is_never_made_outside_of_a_root_that_is_raced() {
        // Made, refused, or lost to the other: all but outside.
        race(|root, round| {
            let path = format!("/place/{round}/deep/er");
            let _ = make_dir(root, Path::new(&path), Links::InRoot);
        });
    }

    #[test]
    fn a_file_is_never_made_outside_of_a_root_that_is_raced() {
        race(|root, round| {
            let path = format!("/place/{round}/file");
            let _ = make_file(root, Path::new(&path), Links::InRoot);
        });
    }

    #[test]
    fn where_links_are_refused_what_is_opened_is_never_behind_one() {
        race(|root, round| {
            let path = format!("/place/{round}");
            let _ = make_dir(root, Path::new(&path), Links::Refused);
        });
    }
}

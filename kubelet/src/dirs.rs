//! Where a pod's files are, and how they go away.
//!
//! Below the data directory, as with Kubernetes' own kubelet:
//! `pods/<uid>/volumes/<name>`, `containers/<name>/<attempt>/`, `etc-hosts`.
//! All mounts that the agent makes for a pod are below the pod's directory, so
//! that whatever is left after a crash can be found and undone.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Component, Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// The directories of one pod.
#[derive(Clone, Debug)]
pub struct PodDirs {
    root: PathBuf,
    logs: PathBuf,
}

/// The directory that holds all pods' directories.
pub fn pods(data_dir: &Path) -> PathBuf {
    data_dir.join("pods")
}

impl PodDirs {
    /// # Errors
    /// A name is more or less than one component of a path: the pod's files
    /// would be those of others, or of all pods.
    pub fn new(
        data_dir: &Path,
        log_dir: &Path,
        namespace: &str,
        name: &str,
        uid: &str,
    ) -> io::Result<Self> {
        for part in [namespace, name, uid] {
            check_component(part)?;
        }
        let logs = log_dir
            .join("pods")
            .join(format!("{namespace}_{name}_{uid}"));
        Ok(Self {
            root: pods(data_dir).join(uid),
            logs,
        })
    }

    pub fn make(&self) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(&self.root)
    }

    pub fn volume(&self, name: &str) -> PathBuf {
        self.root.join("volumes").join(name)
    }

    /// A file system in memory for what must not touch the disk.
    pub fn memory(&self) -> PathBuf {
        self.root.join("memory")
    }

    /// `/dev/shm` of all the pod's containers.
    pub fn shm(&self) -> PathBuf {
        self.root.join("shm")
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub fn sub_path(&self, container: &str, attempt: u32, index: usize) -> PathBuf {
        self.root
            .join("volume-subpaths")
            .join(container)
            .join(attempt.to_string())
            .join(index.to_string())
    }

    pub fn container(&self, name: &str, attempt: u32) -> PathBuf {
        self.runs(name).join(attempt.to_string())
    }

    /// The files of all runs of a container.
    pub fn runs(&self, name: &str) -> PathBuf {
        self.root.join("containers").join(name)
    }

    /// The containers of which any run was prepared.
    pub fn containers(&self) -> Vec<String> {
        let found = entries(&self.root.join("containers")).unwrap_or_default();
        let names = found.into_iter().map(|entry| entry.file_name());
        names
            .map(|name| name.to_string_lossy().into_owned())
            .collect()
    }

    pub fn log_dir(&self, container: &str) -> PathBuf {
        self.logs.join(container)
    }

    pub fn log(&self, container: &str, attempt: u32) -> PathBuf {
        self.log_dir(container).join(format!("{attempt}.log"))
    }

    /// Removes the files of one run of a container, its log included.
    pub fn remove_container(&self, name: &str, attempt: u32) -> io::Result<()> {
        let sub_paths = self
            .root
            .join("volume-subpaths")
            .join(name)
            .join(attempt.to_string());
        remove(&sub_paths)?;
        remove(&self.container(name, attempt))?;
        let prefix = format!("{attempt}.log");
        for entry in entries(&self.log_dir(name))? {
            // Rotated files are called <attempt>.log.<time>.
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Removes what a run that has ended wrote to its own file system; its log stays.
    pub fn remove_layer(&self, name: &str, attempt: u32) -> io::Result<()> {
        let root = self.container(name, attempt);
        remove(&root.join("upper"))?;
        remove(&root.join("work"))
    }

    /// Unmounts and removes volumes and writable layers; logs stay.
    pub fn remove_files(&self) -> io::Result<()> {
        remove(&self.root)
    }

    pub fn remove_logs(&self) -> io::Result<()> {
        remove(&self.logs)
    }
}

fn check_component(name: &str) -> io::Result<()> {
    let mut parts = Path::new(name).components();
    let only = (parts.next(), parts.next());
    // Compared as text too: a component is found without the slashes around it.
    if matches!(only, (Some(Component::Normal(part)), None) if part == name) {
        return Ok(());
    }
    let message = format!("{name:?} cannot be a pod's namespace, name or uid");
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

fn entries(dir: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read?.collect(),
    }
}

/// Mounts a file system in memory at `dir`, unless one is there already.
pub fn mount_memory(dir: &Path, flags: MsFlags, options: &str) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(dir)?;
    if is_mount_point(dir)? {
        return Ok(());
    }
    Ok(mount(
        Some("tmpfs"),
        dir,
        Some("tmpfs"),
        flags,
        Some(options),
    )?)
}

pub fn is_mount_point(dir: &Path) -> io::Result<bool> {
    // The kernel knows it by its path without links.
    let real = dir.canonicalize()?;
    Ok(mounts_below(dir)?.contains(&real))
}

/// Removes `dir` and all below, after undoing every mount there: a volume of
/// the node's own files must never be emptied along with the pod.
///
/// # Errors
/// A mount could not be undone; then nothing was removed.
pub fn remove(dir: &Path) -> io::Result<()> {
    if !dir.try_exists()? {
        return Ok(());
    }
    let mut mounts = mounts_below(dir)?;
    mounts.sort();
    for mount in mounts.iter().rev() {
        umount2(mount, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW)?;
    }
    if !mounts.is_empty() && !mounts_below(dir)?.is_empty() {
        let message = format!("{} still holds mounts", dir.display());
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, message));
    }
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Mount points at and below `dir`, as `/proc/self/mountinfo` lists them.
fn mounts_below(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let dir = dir.canonicalize()?;
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    Ok(points
        .map(unescape)
        .map(PathBuf::from)
        .filter(|point| point.starts_with(&dir))
        .collect())
}

/// Undoes the octal escapes of proc_pid_mountinfo(5).
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let octal = |b: &u8| (b'0'..=b'7').contains(b);
        if first == b'\\' && after.len() >= 3 && after[..3].iter().all(octal) {
            bytes.push(
                after[..3]
                    .iter()
                    .fold(0u8, |n, b| n.wrapping_mul(8).wrapping_add(b - b'0')),
            );
            rest = &after[3..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_unescaped() {
        assert_eq!(unescape("/a\\040b\\134c"), "/a b\\c");
    }

    #[test]
    fn a_pod_has_no_directory_but_its_own() {
        let made = |namespace, name, uid| {
            let dir = Path::new("/nowhere");
            PodDirs::new(dir, dir, namespace, name, uid)
        };
        assert!(made("ns", "p.a-b", "u-1").is_ok());
        for bad in ["", ".", "..", "/", "a/b", "../a", "/a", "a/"] {
            assert!(made(bad, "p", "u").is_err(), "namespace {bad:?}");
            assert!(made("ns", bad, "u").is_err(), "name {bad:?}");
            assert!(made("ns", "p", bad).is_err(), "uid {bad:?}");
        }
    }

    #[test]
    fn logs_outlive_the_pods_files_and_go_with_their_run() {
        let dir = tempfile::tempdir().unwrap();
        let dirs =
            PodDirs::new(&dir.path().join("d"), &dir.path().join("l"), "ns", "p", "u").unwrap();
        dirs.make().unwrap();
        fs::create_dir_all(dirs.log_dir("c")).unwrap();
        for name in ["0.log", "0.log.20260101", "1.log"] {
            fs::write(dirs.log_dir("c").join(name), "x").unwrap();
        }
        dirs.remove_container("c", 0).unwrap();
        dirs.remove_files().unwrap();
        assert!(dirs.log("c", 1).exists() && !dirs.log("c", 0).exists());
        assert_eq!(fs::read_dir(dirs.log_dir("c")).unwrap().count(), 1);
    }
}

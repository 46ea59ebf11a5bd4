//! Where a cluster is: one directory, and one name for its control groups.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result, file};
use crate::{Plan, config};

/// A cluster's directory; it need not exist.
#[derive(Debug, Clone)]
pub struct Place {
    base: PathBuf,
    name: String,
}

impl Place {
    /// # Errors
    /// Where `name` cannot be a cluster's.
    pub fn new(base: &Path, name: &str) -> Result<Self> {
        config::check_name(name)?;
        let base = std::path::absolute(base).map_err(file("resolve", base))?;
        Ok(Self {
            base,
            name: name.to_owned(),
        })
    }

    /// All clusters in `base`, by name.
    pub fn all(base: &Path) -> Result<Vec<Self>> {
        let entries = match fs::read_dir(base) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(file("list", base))?,
        };
        let dirs = entries
            .flatten()
            .filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir()));
        let names = dirs.filter_map(|e| e.file_name().into_string().ok());
        let mut places: Vec<_> = names
            .filter_map(|name| Self::new(base, &name).ok())
            .collect();
        places.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(places)
    }

    /// Makes the directory and writes the plan there.
    pub fn create(&self, plan: &Plan) -> Result<()> {
        fs::create_dir_all(&self.base).map_err(file("create", &self.base))?;
        match fs::DirBuilder::new().mode(0o700).create(self.dir()) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(Error::Exists {
                    name: self.name.clone(),
                });
            }
            made => made.map_err(file("create", &self.dir()))?,
        }
        self.write(plan)
    }

    pub fn write(&self, plan: &Plan) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(plan).expect("a plan is JSON");
        Ok(pki::private_file::write(&self.record(), &bytes)?)
    }

    /// The plan of the cluster that is here.
    pub fn read(&self) -> Result<Plan> {
        let path = self.record();
        match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Error::Absent {
                name: self.name.clone(),
                base: self.base.clone(),
            }),
            bytes => {
                let bytes = bytes.map_err(file("read", &path))?;
                serde_json::from_slice(&bytes).map_err(|source| Error::Damaged { path, source })
            }
        }
    }

    /// Copies this very program to where the cluster runs it from, so that the
    /// file it came from may be replaced.
    pub fn take_program(&self) -> Result<PathBuf> {
        let (dir, own) = (self.program_dir(), Path::new("/proc/self/exe"));
        fs::create_dir_all(&dir).map_err(file("create", &dir))?;
        let (new, path) = (dir.join("skiff.new"), dir.join("skiff"));
        let _ = fs::remove_file(&new);
        let mut from = fs::File::open(own).map_err(file("open", own))?;
        let to = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(&new);
        let mut to = to.map_err(file("create", &new))?;
        std::io::copy(&mut from, &mut to)
            .and_then(|_| to.flush())
            .map_err(file("write", &new))?;
        drop(to);
        fs::rename(&new, &path).map_err(file("replace", &path))?;
        Ok(path)
    }

    /// Removes the directory. The cluster must not run.
    pub fn remove(&self) -> Result<()> {
        match fs::remove_dir_all(self.dir()) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            removed => removed.map_err(file("remove", &self.dir()))?,
        }
        // Made by the first cluster; others may be in it.
        let _ = fs::remove_dir(&self.base);
        Ok(())
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn base(&self) -> &Path {
        &self.base
    }

    pub fn dir(&self) -> PathBuf {
        self.base.join(&self.name)
    }

    fn record(&self) -> PathBuf {
        self.dir().join("cluster.json")
    }

    pub fn socket(&self) -> PathBuf {
        self.dir().join("control.sock")
    }

    pub fn lock(&self) -> PathBuf {
        self.dir().join("lock")
    }

    /// What the supervisor has to say.
    pub fn log(&self) -> PathBuf {
        self.dir().join("supervisor.log")
    }

    pub fn program_dir(&self) -> PathBuf {
        self.dir().join("bin")
    }

    pub fn network_dir(&self) -> PathBuf {
        self.dir().join("network")
    }

    /// A node's root directory.
    pub fn root(&self, node: &str) -> PathBuf {
        self.dir().join("nodes").join(node)
    }

    /// What a node's skiff has to say.
    pub fn node_log(&self, node: &str) -> PathBuf {
        self.dir().join("logs").join(format!("{node}.log"))
    }

    /// A node's data directory, as this machine sees it.
    pub fn data_dir(&self, node: &str) -> PathBuf {
        self.root(node).join("var/lib/skiff")
    }

    /// The cluster's control group, below every hierarchy's root. Two clusters
    /// of one name in two directories are two.
    pub fn group(&self) -> PathBuf {
        let mix = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        let hash = self
            .dir()
            .as_os_str()
            .as_bytes()
            .iter()
            .fold(0x811c_9dc5, mix);
        format!("skiff-cluster-{}-{hash:08x}", self.name).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_as_it_was_written_and_a_second_cluster_of_the_name_refused() {
        let base = tempfile::tempdir().unwrap();
        let place = Place::new(&base.path().join("clusters"), "lab").unwrap();
        let plan = config::default(Some("lab")).unwrap();
        assert!(matches!(place.read(), Err(Error::Absent { .. })));
        place.create(&plan).unwrap();
        assert_eq!(place.read().unwrap(), plan);
        assert!(matches!(place.create(&plan), Err(Error::Exists { .. })));
        fs::write(place.base().join("file"), "").unwrap();
        assert_eq!(Place::all(place.base()).unwrap().len(), 1);
        fs::remove_file(place.base().join("file")).unwrap();
        place.remove().unwrap();
        assert!(!place.base().exists());
    }

    #[test]
    fn clusters_of_one_name_in_two_directories_have_groups_of_their_own() {
        let [a, b] = ["/a", "/b"].map(|base| Place::new(Path::new(base), "lab").unwrap().group());
        assert_ne!(a, b);
    }
}

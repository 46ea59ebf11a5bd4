//! A container's directory: what is known of it, and who is at work on it.
//!
//! `<root>/<id>/`, for root only. Whoever changes a container holds its lock;
//! the lock ends with the process that holds it, so none is ever left behind.
//! `state.json` is replaced whole, and written before what it tells of is made.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use oci_spec::runtime::Spec;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::OrRefuse;
use super::{Refusal, Result, capabilities};
use crate::cgroup::systemd::Scope;
use crate::init::pause;

/// A config.json beyond this is no config.json.
const MAX_CONFIG: u64 = 16 << 20;

const STATE: &str = "state.json";
const CONFIG: &str = "config.json";

/// All that may be in a container's directory, the state first: without it the rest is nobody's.
const FILES: [&str; 6] = [
    STATE,
    "state.json.new",
    CONFIG,
    "config.json.new",
    pause::GO,
    pause::TOLD,
];

/// What is known of a container.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    pub oci_version: String,
    pub id: String,
    pub bundle: PathBuf,
    pub rootfs: PathBuf,
    pub created: Timestamp,
    /// The container's group below every hierarchy's root.
    pub cgroup: PathBuf,
    /// Where systemd made the group: the unit that it is.
    #[serde(default)]
    pub scope: Option<Scope>,
    #[serde(default)]
    pub annotations: HashMap<String, String>,
    /// The first process; none until it is made.
    pub process: Option<Process>,
    /// All was made; until then it is only there to be deleted.
    #[serde(default)]
    pub is_complete: bool,
}

/// A process, not to be taken for a later one with its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Process {
    pub pid: i32,
    /// In clock ticks since the boot, as `/proc/<pid>/stat` has it.
    pub start_time: u64,
}

/// A container's directory.
#[derive(Debug)]
pub struct Place {
    pub dir: PathBuf,
    lock: Option<File>,
}

/// # Errors
/// [`Refusal::Id`] for what is not one plain file name of runc's letters.
pub fn check_id(id: &str) -> Result<()> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"_+-.".contains(&b);
    let is_name = (1..=255).contains(&id.len()) && id != "." && id != "..";
    if is_name && id.bytes().all(is_plain) {
        Ok(())
    } else {
        Err(Refusal::Id(id.to_owned()))
    }
}

impl Place {
    /// Makes the directory of a new container, locked.
    pub fn make(root: &Path, id: &str) -> Result<Self> {
        check_id(id)?;
        make_root(root)?;
        let dir = root.join(id);
        match DirBuilder::new().mode(0o700).create(&dir) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(Refusal::Exists),
            made => made.or_refuse(|| format!("make {}", dir.display()))?,
        }
        let mut place = Self { dir, lock: None };
        match place.lock() {
            Ok(true) => Ok(place),
            // Somebody may take a new directory for one that was left behind, and remove it.
            Ok(false) => Err(Refusal::Exists),
            Err(refusal) => Err(place.undone(refusal, || Ok(()))),
        }
    }

    /// The directory of a container that is there, not locked.
    pub fn find(root: &Path, id: &str) -> Result<Self> {
        check_id(id)?;
        let dir = root.join(id);
        match fs::symlink_metadata(&dir) {
            Ok(meta) if meta.is_dir() => Ok(Self { dir, lock: None }),
            Ok(_) => Err(Refusal::NotFound),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(Refusal::NotFound),
            Err(e) => Err(Refusal::failed(format!("look at {}", dir.display()), e)),
        }
    }

    /// The directory of a container, once nobody else is at work on it.
    pub fn lock_found(root: &Path, id: &str) -> Result<Self> {
        let mut place = Self::find(root, id)?;
        if place.lock()? {
            Ok(place)
        } else {
            Err(Refusal::NotFound)
        }
    }

    /// Lets others at it.
    pub fn unlock(&mut self) {
        self.lock = None;
    }

    /// Says whether the directory is still the container's when its lock is ours.
    pub fn lock(&mut self) -> Result<bool> {
        let what = || format!("lock {}", self.dir.display());
        let open = File::options()
            .read(true)
            .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW)
            .open(&self.dir);
        let file = match open {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            open => open.or_refuse(what)?,
        };
        // Until it is closed, which a process's end does too.
        file.lock().or_refuse(what)?;
        let ours = file.metadata().or_refuse(what)?;
        let now = match fs::symlink_metadata(&self.dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            now => now.or_refuse(what)?,
        };
        self.lock = Some(file);
        Ok((now.dev(), now.ino()) == (ours.dev(), ours.ino()))
    }

    /// Undoes what was made for a container that cannot be made; gives the error to tell.
    ///
    /// Where `others` fails the state is kept, by which `delete --force` finds the rest.
    pub fn undone(&self, why: Refusal, others: impl FnOnce() -> Result<()>) -> Refusal {
        match others().and_then(|()| self.remove()) {
            Ok(()) => why,
            Err(left) => Refusal::failed(why, Refusal::Left(Box::new(left))),
        }
    }

    /// # Errors
    /// [`Refusal::NotFound`] where a runtime was killed before it wrote anything.
    pub fn record(&self) -> Result<Record> {
        let path = self.dir.join(STATE);
        let text = match fs::read(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(Refusal::NotFound),
            text => text.or_refuse(|| format!("read {}", path.display()))?,
        };
        serde_json::from_slice(&text).or_refuse(|| format!("understand {}", path.display()))
    }

    pub fn save(&self, record: &Record) -> Result<()> {
        let text = serde_json::to_vec(record).expect("a record has only string keys");
        self.replace(STATE, &text)
    }

    /// Writes down what is about to be made, and the configuration, for the bundle's may change.
    ///
    /// In this order: a state that is there has its configuration.
    pub fn begin(&self, record: &Record, config: &[u8]) -> Result<()> {
        let path = self.dir.join(CONFIG);
        write_new(&path, config).or_refuse(|| format!("write {}", path.display()))?;
        self.save(record)
    }

    pub fn spec(&self) -> Result<Spec> {
        // What is unknown in it was told when the container was made.
        read_spec(&self.dir).map(|config| config.spec)
    }

    /// The configuration with all that is in it, known here or not.
    pub fn config(&self) -> Result<Value> {
        let path = self.dir.join(CONFIG);
        serde_json::from_slice(&read_bounded(&path)?)
            .or_refuse(|| format!("understand {}", path.display()))
    }

    pub fn save_config(&self, config: &Value) -> Result<()> {
        self.replace(CONFIG, config.to_string().as_bytes())
    }

    fn replace(&self, name: &str, text: &[u8]) -> Result<()> {
        let (path, new) = (self.dir.join(name), self.dir.join(format!("{name}.new")));
        let write = || write_new(&new, text).and_then(|()| fs::rename(&new, &path));
        write().or_refuse(|| format!("write {}", path.display()))
    }

    /// Removes the directory and what is in it; what is gone already is no error.
    pub fn remove(&self) -> Result<()> {
        for name in FILES {
            gone(&self.dir.join(name), |path| fs::remove_file(path))?;
        }
        // Nothing else is in it, unless another version of ours put it there.
        gone(&self.dir, |dir| {
            fs::remove_dir(dir).or_else(|_| fs::remove_dir_all(dir))
        })
    }
}

fn gone(path: &Path, remove: impl FnOnce(&Path) -> io::Result<()>) -> Result<()> {
    match remove(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.or_refuse(|| format!("remove {}", path.display())),
    }
}

fn write_new(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut options = File::options();
    options.create(true).write(true).truncate(true).mode(0o600);
    options.open(path)?.write_all(text)
}

/// The root directory, for root only and for nobody else to write to.
fn make_root(root: &Path) -> Result<()> {
    let what = || format!("make the state directory {}", root.display());
    let meta = match fs::metadata(root) {
        Ok(meta) => meta,
        Err(_) => {
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(0o700);
            builder.create(root).or_refuse(what)?;
            fs::metadata(root).or_refuse(what)?
        }
    };
    if meta.mode() & 0o022 != 0 && meta.mode() & 0o1000 == 0 {
        return Err(Refusal::failed(
            what(),
            "others can write to it: chmod go-w",
        ));
    }
    Ok(())
}

/// The ids below a root, sorted.
pub fn ids(root: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(root) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.or_refuse(|| format!("list {}", root.display()))?,
    };
    let names = entries
        .flatten()
        .filter_map(|e| e.file_name().into_string().ok());
    let mut ids: Vec<String> = names.filter(|n| check_id(n).is_ok()).collect();
    ids.sort();
    Ok(ids)
}

/// A bundle's `config.json`.
#[derive(Debug)]
pub struct Config {
    pub spec: Spec,
    pub text: Vec<u8>,
    /// Capabilities that it names and nobody knows; the spec is without them.
    pub unknown: Vec<String>,
}

pub fn read_spec(dir: &Path) -> Result<Config> {
    let path = dir.join(CONFIG);
    let text = read_bounded(&path)?;
    let read = capabilities::read(&text, "/process/capabilities");
    let (spec, unknown) = read.or_refuse(|| format!("understand {}", path.display()))?;
    Ok(Config {
        spec,
        text,
        unknown,
    })
}

/// Reads a regular file of at most [`MAX_CONFIG`] bytes.
pub fn read_bounded(path: &Path) -> Result<Vec<u8>> {
    use std::io::Read;
    let what = || format!("read {}", path.display());
    let open = File::options()
        .read(true)
        // A fifo of that name would be waited for.
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path);
    let file = open.or_refuse(what)?;
    let meta = file.metadata().or_refuse(what)?;
    if !meta.is_file() || meta.len() > MAX_CONFIG {
        return Err(Refusal::failed(
            what(),
            format!("wanted a file of at most {MAX_CONFIG} bytes"),
        ));
    }
    let mut text = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0));
    let read = file.take(MAX_CONFIG).read_to_end(&mut text);
    read.or_refuse(what)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_plain_file_name() {
        for id in ["a", "a.b-c_d+e", ".hidden", &"x".repeat(255)] {
            assert!(check_id(id).is_ok(), "{id}");
        }
        for id in [
            "",
            ".",
            "..",
            "a/b",
            "../a",
            "a b",
            "a\0",
            "ä",
            &"x".repeat(256),
        ] {
            assert!(check_id(id).is_err(), "{id}");
        }
    }

    #[test]
    fn a_container_is_made_once_and_found_by_name() {
        let root = tempfile::tempdir().unwrap();
        let place = Place::make(root.path(), "one").unwrap();
        let again = Place::make(root.path(), "one");
        assert!(matches!(again, Err(Refusal::Exists)));
        assert!(matches!(place.record(), Err(Refusal::NotFound)));
        assert_eq!(ids(root.path()).unwrap(), ["one"]);
        place.remove().unwrap();
        place.remove().unwrap();
        let gone = Place::find(root.path(), "one");
        assert!(matches!(gone, Err(Refusal::NotFound)));
    }

    #[test]
    fn a_root_that_others_write_to_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(Place::make(root.path(), "one").is_err());
    }

    #[test]
    fn a_config_that_is_no_file_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        nix::unistd::mkfifo(&dir.path().join(CONFIG), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(read_spec(dir.path()).is_err());
    }
}

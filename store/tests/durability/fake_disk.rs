//! A disk in memory that can be full, refuse to sync, write short, and lose
//! power between any two operations.
//!
//! What was written and not synced may after a crash be there in whole, in
//! part, with sectors that read as zeros, or not at all; what was done to names
//! and not synced, up to any point of it.

use std::{
    collections::BTreeMap,
    io::{self, Cursor, Read},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, mpsc},
};

use rand::{Rng, RngExt, rngs::StdRng};
use store::disk::{Disk, File, Lock};

#[derive(Clone, Debug, Default)]
pub struct FakeDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
pub struct State {
    nodes: Vec<Node>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    name_changes: Vec<NameChange>,
    operations: u64,
    /// Power is lost at this operation.
    pub crash_at: Option<u64>,
    is_crashed: bool,
    /// No file may be written beyond so many bytes altogether.
    pub capacity: Option<usize>,
    /// At most so many bytes are taken by one write.
    pub longest_write: Option<usize>,
    /// Any operation fails now and then; a write may have got half way.
    pub flaky: Option<Flaky>,
    pub fail_syncs: bool,
    /// Each sync waits for one to be sent, until there is no sender any more.
    pub gate: Option<Arc<Mutex<mpsc::Receiver<()>>>>,
    pub fail_truncates: bool,
    /// Files whose names contain this cannot be made.
    pub fail_creates: Option<&'static str>,
}

#[derive(Debug)]
pub struct Flaky {
    pub rng: StdRng,
    /// How often, from 0 to 1.
    pub rate: f64,
    pub failed: usize,
}

#[derive(Clone, Debug, Default)]
struct Node {
    data: Vec<u8>,
    durable: Vec<u8>,
    /// Up to here both are the same.
    synced: usize,
}

#[derive(Clone, Debug)]
enum NameChange {
    Make(PathBuf, usize),
    Remove(PathBuf),
}

impl FakeDisk {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics under the lock")
    }

    pub fn has_crashed(&self) -> bool {
        self.state().is_crashed
    }

    pub fn names(&self) -> Vec<String> {
        let state = self.state();
        state
            .names
            .keys()
            .map(|path| path.display().to_string())
            .collect()
    }

    /// Makes a file that is there for good.
    pub fn put(&self, path: &str, data: &[u8]) {
        let mut state = self.state();
        let node = state.nodes.len();
        state.nodes.push(Node {
            data: data.to_vec(),
            durable: data.to_vec(),
            synced: data.len(),
        });
        state.names.insert(path.into(), node);
        state.durable_names.insert(path.into(), node);
    }

    pub fn contents(&self, path: &str) -> Vec<u8> {
        let state = self.state();
        state.nodes[state.names[Path::new(path)]].data.clone()
    }

    /// What a machine that lost its power now finds when it is back.
    pub fn after_crash(&self, rng: &mut impl Rng) -> Self {
        let state = self.state();
        let mut names = state.durable_names.clone();
        let survive = rng.random_range(0..=state.name_changes.len());
        for change in &state.name_changes[..survive] {
            change.apply(&mut names);
        }
        let nodes = state
            .nodes
            .iter()
            .map(|node| node.after_crash(rng))
            .collect();
        Self(Arc::new(Mutex::new(State {
            nodes,
            durable_names: names.clone(),
            names,
            ..State::default()
        })))
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Make(path, node) => names.insert(path.clone(), *node),
            Self::Remove(path) => names.remove(path),
        };
    }
}

impl Node {
    fn after_crash(&self, rng: &mut impl Rng) -> Self {
        let synced = self.synced;
        let mut data = self.data.clone();
        match rng.random_range(0..4) {
            0 => data.clone_from(&self.durable),
            1 => {}
            2 => data.truncate(rng.random_range(synced..=data.len())),
            _ => {
                for sector in synced / 512..data.len().div_ceil(512) {
                    if rng.random_bool(0.5) {
                        let end = data.len().min((sector + 1) * 512);
                        data[synced.max(sector * 512)..end].fill(0);
                    }
                }
            }
        }
        Self {
            durable: data.clone(),
            synced: data.len(),
            data,
        }
    }
}

impl Flaky {
    fn step(&mut self) -> io::Result<()> {
        if !self.rng.random_bool(self.rate) {
            return Ok(());
        }
        self.failed += 1;
        let full = self.rng.random_bool(0.5);
        Err(if full {
            io::ErrorKind::StorageFull.into()
        } else {
            io::Error::other("the disk does not answer")
        })
    }
}

impl State {
    /// Counts an operation; an error if there is no power for it.
    fn step(&mut self) -> io::Result<()> {
        self.operations += 1;
        self.is_crashed |= self.crash_at.is_some_and(|at| self.operations >= at);
        if self.is_crashed {
            return Err(io::Error::other("the power is gone"));
        }
        match &mut self.flaky {
            Some(flaky) => flaky.step(),
            None => Ok(()),
        }
    }

    fn node(&self, path: &Path) -> io::Result<usize> {
        let node = self.names.get(path).copied();
        node.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.name_changes.push(change);
    }

    fn free(&self) -> usize {
        let used: usize = self
            .names
            .values()
            .map(|node| self.nodes[*node].data.len())
            .sum();
        self.capacity
            .map_or(usize::MAX, |all| all.saturating_sub(used))
    }
}

impl Disk for FakeDisk {
    fn make_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, _: &Path) -> io::Result<Lock> {
        Ok(Lock::Held(Box::new(())))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        let inside = state
            .names
            .keys()
            .filter_map(|path| path.strip_prefix(dir).ok());
        Ok(inside.map(|name| name.display().to_string()).collect())
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        let state = self.state();
        Ok(state.nodes[state.node(path)?].data.len() as u64)
    }

    fn read(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        let state = self.state();
        let data = state.nodes[state.node(path)?].data.clone();
        Ok(Box::new(Cursor::new(data)))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let mut state = self.state();
        state.step()?;
        let name = path.display().to_string();
        if state.fail_creates.is_some_and(|part| name.contains(part)) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let node = state.nodes.len();
        state.nodes.push(Node::default());
        state.change(NameChange::Make(path.to_owned(), node));
        Ok(Box::new(Handle(self.clone(), node)))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let node = self.state().node(path)?;
        Ok(Box::new(Handle(self.clone(), node)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let node = state.node(from)?;
        state.change(NameChange::Make(to.to_owned(), node));
        state.change(NameChange::Remove(from.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        state.node(path)?;
        state.change(NameChange::Remove(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        state.durable_names = state.names.clone();
        state.name_changes.clear();
        Ok(())
    }
}

#[derive(Debug)]
struct Handle(FakeDisk, usize);

impl File for Handle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.state();
        let powered = state.step();
        let length = bytes.len().min(state.longest_write.unwrap_or(usize::MAX));
        let mut length = length.min(state.free());
        if powered.is_err()
            && let Some(flaky) = &mut state.flaky
        {
            length = flaky.rng.random_range(0..=length);
        }
        state.nodes[self.1].data.extend_from_slice(&bytes[..length]);
        powered?;
        if length == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        let gate = self.0.state().gate.clone();
        if let Some(gate) = gate {
            let _ = gate.lock().expect("no test panics under the lock").recv();
        }
        let mut state = self.0.state();
        state.step()?;
        if state.fail_syncs {
            return Err(io::Error::other("the disk does not answer"));
        }
        let node = &mut state.nodes[self.1];
        node.durable.truncate(node.synced);
        node.durable.extend_from_slice(&node.data[node.synced..]);
        node.synced = node.data.len();
        Ok(())
    }

    fn truncate(&mut self, size: u64) -> io::Result<()> {
        let mut state = self.0.state();
        state.step()?;
        if state.fail_truncates {
            return Err(io::Error::other("the disk does not answer"));
        }
        let node = &mut state.nodes[self.1];
        node.data.truncate(size as usize);
        node.synced = node.synced.min(size as usize);
        Ok(())
    }
}

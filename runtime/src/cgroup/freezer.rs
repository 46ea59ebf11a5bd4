//! Stopping every process of a group at once, and letting them go on.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Group, failed, stats, write};
use crate::{Error, Result};

/// A process in the middle of a fork, or of a write to a stuck disk, takes its time.
const PATIENCE: Duration = Duration::from_secs(10);

impl Group {
    /// Freezes the group, or thaws it; comes back when it is done.
    ///
    /// # Errors
    /// Where the machine lacks the freezer, or a process does not stop; it is thawed again then.
    pub fn freeze(&self, is_to_stop: bool) -> Result<()> {
        let dir = self.freezer()?;
        let (file, word) = match (self.is_v2(), is_to_stop) {
            (true, true) => ("cgroup.freeze", "1"),
            (true, false) => ("cgroup.freeze", "0"),
            (false, true) => ("freezer.state", "FROZEN"),
            (false, false) => ("freezer.state", "THAWED"),
        };
        let end = Instant::now() + PATIENCE;
        let mut pause = Duration::from_micros(50);
        while Instant::now() < end {
            // On v1 a process that forks meanwhile is only caught by another try.
            write(&dir.join(file), word)?;
            if self.has_stopped(&dir)? == is_to_stop {
                return Ok(());
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
        if is_to_stop {
            self.freeze(false)?;
        }
        Err(Error::Node {
            what: format!("the processes of {} cannot be stopped", dir.display()),
        })
    }

    /// Whether it was frozen, by this group's own word.
    pub fn is_frozen(&self) -> Result<bool> {
        let Some(dir) = self.directory("freezer") else {
            return Ok(false);
        };
        let file = if self.is_v2() {
            "cgroup.freeze"
        } else {
            "freezer.self_freezing"
        };
        let path = dir.join(file);
        match fs::read_to_string(&path) {
            Err(e) if super::is_gone(&e) => Ok(false),
            word => word
                .map(|word| word.trim() == "1")
                .map_err(|e| failed("read the cgroup file", &path, e)),
        }
    }

    fn has_stopped(&self, dir: &Path) -> Result<bool> {
        if self.is_v2() {
            return Ok(stats::keyed(&dir.join("cgroup.events"), "frozen") == 1);
        }
        let file = dir.join("freezer.state");
        let state = fs::read_to_string(&file);
        let state = state.map_err(|e| failed("read the cgroup file", &file, e))?;
        Ok(state.trim() == "FROZEN")
    }

    fn freezer(&self) -> Result<std::path::PathBuf> {
        self.directory("freezer").ok_or_else(|| Error::Node {
            what: "this machine mounts no freezer cgroup: mount it, or use cgroup v2".into(),
        })
    }
}

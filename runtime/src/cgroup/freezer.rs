//! Suspending all processes of a group, and going on with them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::{Group, failed, write};
use crate::{Error, Result};

/// How often the kernel is asked whether all are frozen, a little later each time.
const ROUNDS: u64 = 100;

impl Group {
    /// Freezes or thaws; comes back when it is done.
    pub fn freeze(&self, is_frozen: bool) -> Result<()> {
        let Some(dir) = self.directory("freezer") else {
            return Err(Error::Node {
                what: "pausing takes the freezer cgroup, which this machine does not mount".into(),
            });
        };
        for round in 0..ROUNDS {
            self.ask(&dir, is_frozen)?;
            if state(&dir, self.is_v2())? == is_frozen {
                return Ok(());
            }
            std::thread::sleep(Duration::from_micros(50 * round));
        }
        Err(Error::Node {
            what: format!("some process of {} does not freeze", dir.display()),
        })
    }

    /// v1 may stay at FREEZING when a process forks meanwhile: it is asked again, as the kernel's text says.
    fn ask(&self, dir: &Path, is_frozen: bool) -> Result<()> {
        let (file, word) = match (self.is_v2(), is_frozen) {
            (true, true) => ("cgroup.freeze", "1"),
            (true, false) => ("cgroup.freeze", "0"),
            (false, true) => ("freezer.state", "FROZEN"),
            (false, false) => ("freezer.state", "THAWED"),
        };
        write(&dir.join(file), word)
    }

    /// Whether the group is frozen; one that is not there is not.
    pub fn is_frozen(&self) -> bool {
        self.directory("freezer")
            .is_some_and(|dir| state(&dir, self.is_v2()).unwrap_or(false))
    }
}

fn state(dir: &Path, is_v2: bool) -> Result<bool> {
    let path = dir.join(if is_v2 {
        "cgroup.events"
    } else {
        "freezer.state"
    });
    let text = fs::read_to_string(&path).map_err(|e| failed("read the cgroup file", &path, e))?;
    Ok(text.lines().any(|l| l == "frozen 1" || l == "FROZEN"))
}

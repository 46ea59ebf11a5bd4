//! Groups that systemd knows: a scope a container (`--systemd-cgroup`).
//!
//! systemd makes the group and hands it over (`Delegate`); from there on it is
//! written to like any other. A scope begins with a process, and the container's
//! is to be born in the group: one of ours holds the place until then.
//!
//! The client's side of D-Bus that this takes is written here: the crates for it
//! bring an executor with threads of its own, and who forks containers has one
//! thread.

use std::path::PathBuf;

use nix::sched::CloneFlags;
use oci_spec::runtime::LinuxResources;
use serde::{Deserialize, Serialize};

use super::Layout;
use crate::place_holder::PlaceHolder;
use crate::{Error, Result};

mod bus;
mod properties;
mod wire;

use bus::Bus;
use wire::Value;

/// A unit of systemd's that holds a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    slice: String,
    name: String,
}

impl Scope {
    /// `slice:prefix:name`, as runc reads `cgroupsPath`; without one, `system.slice:runc:<id>`.
    pub fn parse(cgroups_path: Option<&str>, id: &str) -> Result<Self> {
        let path = cgroups_path.filter(|p| !p.is_empty());
        let path = path.map_or_else(|| format!("system.slice:runc:{id}"), str::to_owned);
        let parts: Vec<&str> = path.split(':').collect();
        let &[slice, prefix, name] = &parts[..] else {
            return Err(refused(&path, "wanted slice:prefix:name"));
        };
        let slice = if slice.is_empty() {
            "system.slice"
        } else {
            slice
        };
        if slice != "-.slice" && (!slice.ends_with(".slice") || !is_unit(slice) || has_gap(slice)) {
            return Err(refused(&path, "the slice is no name of one"));
        }
        let name = match prefix {
            "" => format!("{name}.scope"),
            prefix => format!("{prefix}-{name}.scope"),
        };
        if !is_unit(&name) || name.starts_with('.') {
            return Err(refused(&path, "the name is none of a unit"));
        }
        Ok(Self {
            slice: slice.to_owned(),
            name,
        })
    }

    /// Where the group is below every hierarchy's root: `a-b.slice` is in `a.slice`.
    pub fn path(&self) -> PathBuf {
        let mut path = PathBuf::new();
        // `-.slice` is the root itself.
        let stem = self.slice.trim_end_matches(".slice").trim_matches('-');
        let ends = stem.match_indices('-').map(|(end, _)| end);
        for end in ends.chain([stem.len()]).filter(|end| *end > 0) {
            path.push(format!("{}.slice", &stem[..end]));
        }
        path.push(&self.name);
        path
    }

    /// Has systemd make the scope. The caller must have one thread.
    pub fn start(
        &self,
        id: &str,
        resources: Option<&LinuxResources>,
        layout: &Layout,
    ) -> Result<PlaceHolder> {
        let failed = |e| self.failed("start", e);
        let holder = PlaceHolder::fork(CloneFlags::empty()).map_err(failed)?;
        let mut properties = vec![
            ("Description", Value::Text(format!("container {id}"))),
            ("Slice", Value::Text(self.slice.clone())),
            ("Delegate", Value::Bool(true)),
            ("DefaultDependencies", Value::Bool(false)),
            (
                "PIDs",
                Value::Numbers(vec![holder.pid.as_raw().unsigned_abs()]),
            ),
        ];
        properties.extend(properties::accounting(layout));
        properties.extend(
            resources
                .into_iter()
                .flat_map(|r| properties::of(r, layout)),
        );
        let mut bus = Bus::connect().map_err(failed)?;
        bus.start_unit(&self.name, &properties).map_err(failed)?;
        Ok(holder)
    }

    /// Tells systemd of new limits, lest it restores the old ones.
    pub fn update(&self, resources: &LinuxResources, layout: &Layout) -> Result<()> {
        let properties = properties::of(resources, layout);
        if properties.is_empty() {
            return Ok(());
        }
        let set = Bus::connect().and_then(|mut bus| bus.set_properties(&self.name, &properties));
        set.map_err(|e| self.failed("change the limits of", e))
    }

    /// Has systemd forget it; no error where it has already.
    pub fn stop(&self) -> Result<()> {
        let stopped = Bus::connect().and_then(|mut bus| bus.stop_unit(&self.name));
        stopped.map_err(|e| self.failed("stop", e))
    }

    fn failed(&self, what: &str, e: std::io::Error) -> Error {
        Error::Node {
            what: format!(
                "{what} the systemd unit {}: {e}; without systemd leave --systemd-cgroup out",
                self.name
            ),
        }
    }
}

fn refused(path: &str, why: &str) -> Error {
    Error::Node {
        what: format!("cgroupsPath {path:?} is not for systemd: {why}"),
    }
}

/// systemd.unit(5): what a unit's name may have in it, and how much of it.
fn is_unit(name: &str) -> bool {
    name.len() <= 255
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b":_.\\-@".contains(&b))
}

/// `a--b.slice` has no parent.
fn has_gap(slice: &str) -> bool {
    let stem = slice.trim_end_matches(".slice");
    stem.split('-').any(str::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_for_systemd_becomes_the_group_that_it_makes() {
        let path = |given| Scope::parse(given, "abc").unwrap().path();
        let expected = [
            (None, "system.slice/runc-abc.scope"),
            (
                Some("machine.slice:libpod:1f"),
                "machine.slice/libpod-1f.scope",
            ),
            (
                Some("a-b-c.slice:cri:x"),
                "a.slice/a-b.slice/a-b-c.slice/cri-x.scope",
            ),
            (Some("::x"), "system.slice/x.scope"),
            (Some("-.slice:p:x"), "p-x.scope"),
        ];
        for (given, path_of_it) in expected {
            assert_eq!(path(given), PathBuf::from(path_of_it), "{given:?}");
        }
    }

    #[test]
    fn what_would_lead_elsewhere_is_refused() {
        let hostile = [
            "/a/b",
            "a:b",
            "a.slice:b:c:d",
            "../x.slice:a:b",
            "x.slice:a:../b",
            "a--b.slice:p:n",
            "notaslice:p:n",
            "x.slice:p:n\n",
            "-a.slice:p:n",
        ];
        for path in hostile {
            assert!(Scope::parse(Some(path), "id").is_err(), "{path}");
        }
    }
}

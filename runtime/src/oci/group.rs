//! A container's control group: by `cgroupsPath`, or a scope of systemd's.

use std::path::PathBuf;

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxResources, Spec};

use super::Result;
use super::context::Context;
use super::error::OrRefuse;
use super::place::Record;
use crate::cgroup::systemd::Scope;
use crate::cgroup::{Group, Layout};
use crate::place_holder::PlaceHolder;

/// Where a container's processes are counted and limited.
pub struct Owned {
    pub group: Group,
    scope: Option<Scope>,
}

/// The path below every hierarchy's root, and the scope where systemd is to make it.
pub fn wanted(context: &Context, spec: &Spec, id: &str) -> Result<(PathBuf, Option<Scope>)> {
    let path = spec.linux().as_ref().and_then(|l| l.cgroups_path().clone());
    let path = path.filter(|p| !p.as_os_str().is_empty());
    if context.uses_systemd {
        let text = path.as_deref().map(|p| p.to_string_lossy());
        let scope = Scope::parse(text.as_deref(), id)?;
        return Ok((scope.path(), Some(scope)));
    }
    Ok((path.unwrap_or_else(|| PathBuf::from(id)), None))
}

impl Owned {
    pub fn of(record: &Record) -> Result<Self> {
        Ok(Self {
            group: Group::at(Layout::detect()?, &record.cgroup)?,
            scope: record.scope.clone(),
        })
    }

    /// Makes and limits the group. What comes back holds its place until a process is in it.
    pub fn make(&self, id: &str, spec: &Spec) -> Result<Option<PlaceHolder>> {
        let linux = spec.linux().as_ref();
        let resources = linux.and_then(|l| l.resources().as_ref());
        let layout = self.group.layout();
        let holder = self.scope.as_ref();
        let holder = holder.map(|s| s.start(id, resources, layout)).transpose()?;
        self.group.create()?;
        if let Some(resources) = resources {
            self.group.apply(&with_common_devices(resources))?;
        }
        Ok(holder)
    }

    pub fn update(&self, resources: &LinuxResources) -> Result<()> {
        self.group.apply(resources)?;
        if let Some(scope) = &self.scope {
            scope.update(resources, self.group.layout())?;
        }
        Ok(())
    }

    /// Kills what is in the group, and removes it; what is gone already is no error.
    pub fn destroy(&self) -> Result<()> {
        if self.group.is_frozen()? {
            // On v1 a frozen process does not even die.
            self.group.kill_all()?;
            self.group
                .freeze(false)
                .or_refuse(|| "thaw the container".into())?;
        }
        self.group.destroy()?;
        if let Some(scope) = &self.scope {
            // The group is gone, which is all that matters; systemd finds out by itself.
            let _ = scope.stop();
        }
        Ok(())
    }
}

/// The devices that every container has are allowed whatever the rules say, for they are made in its `/dev`.
fn with_common_devices(resources: &LinuxResources) -> LinuxResources {
    let mut resources = resources.clone();
    let Some(mut rules) = resources.devices().clone().filter(|r| !r.is_empty()) else {
        return resources;
    };
    let allowed = crate::defaults::device_rules(&[]);
    rules.extend(allowed.into_iter().filter(LinuxDeviceCgroup::allow));
    resources.set_devices(Some(rules));
    resources
}

//! Maps of user and group ids, of user namespaces and of mounts.

use std::fmt::Write;
use std::io;
use std::os::fd::OwnedFd;

use nix::sched::CloneFlags;
use nix::unistd::Pid;
use oci_spec::runtime::{LinuxIdMapping, Spec};

use super::Fault;
use crate::place_holder::PlaceHolder;

/// user_namespaces(7): what the kernel takes.
const MAX_LINES: usize = 340;

/// What the host calls a user of the container's; none where it knows no such user.
pub(crate) fn on_host(maps: &[LinuxIdMapping], uid: u32) -> Option<u32> {
    maps.iter().find_map(|map| {
        let offset = uid.checked_sub(map.container_id())?;
        let is_in = offset < map.size();
        map.host_id().checked_add(offset).filter(|_| is_in)
    })
}

/// As the kernel wants them: a line a range, `inside outside count`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Maps {
    uid: String,
    gid: String,
}

impl Maps {
    /// Those of the spec's new user namespace, which it has to have.
    pub fn of_spec(spec: &Spec, is_new: bool) -> Result<Option<Self>, Fault> {
        let linux = spec.linux().as_ref();
        let uid = linux.and_then(|l| l.uid_mappings().as_deref());
        let gid = linux.and_then(|l| l.gid_mappings().as_deref());
        let (uid, gid) = (uid.unwrap_or_default(), gid.unwrap_or_default());
        let has_maps = !uid.is_empty() || !gid.is_empty();
        let has_user_namespace = linux
            .and_then(|l| l.namespaces().as_deref())
            .unwrap_or_default()
            .iter()
            .any(|n| n.typ() == oci_spec::runtime::LinuxNamespaceType::User);
        if !is_new {
            if has_maps && !has_user_namespace {
                return Err(Fault::Create(
                    "user namespace mappings specified, but user namespace isn't enabled in the config".into(),
                ));
            }
            return Ok(None);
        }
        Self::new(uid, gid, "linux").map(Some)
    }

    pub fn new(uid: &[LinuxIdMapping], gid: &[LinuxIdMapping], of: &str) -> Result<Self, Fault> {
        let text = |maps: &[LinuxIdMapping], name: &str| {
            if maps.is_empty() || maps.len() > MAX_LINES {
                return Err(Fault::Create(format!(
                    "{of}.{name}: wanted 1 to {MAX_LINES} ranges, found {}",
                    maps.len()
                )));
            }
            Ok(maps.iter().fold(String::new(), |mut text, map| {
                let (inside, outside) = (map.container_id(), map.host_id());
                writeln!(text, "{inside} {outside} {}", map.size())
                    .expect("strings take all that is written");
                text
            }))
        };
        Ok(Self {
            uid: text(uid, "uidMappings")?,
            gid: text(gid, "gidMappings")?,
        })
    }

    /// Gives them to the new user namespace of a child that is not reaped yet.
    pub fn write(&self, child: Pid) -> io::Result<()> {
        std::fs::write(format!("/proc/{child}/uid_map"), &self.uid)?;
        std::fs::write(format!("/proc/{child}/gid_map"), &self.gid)
    }

    /// A user namespace with these maps and nobody in it.
    pub fn namespace(&self) -> io::Result<OwnedFd> {
        let holder = PlaceHolder::fork(CloneFlags::CLONE_NEWUSER)?;
        self.write(holder.pid)?;
        let users = std::fs::File::open(format!("/proc/{}/ns/user", holder.pid))?;
        Ok(users.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_written_inside_first() {
        let map = r#"[{"containerID": 0, "hostID": 100000, "size": 65536}, {"containerID": 70000, "hostID": 5, "size": 1}]"#;
        let map: Vec<LinuxIdMapping> = serde_json::from_str(map).unwrap();
        let maps = Maps::new(&map, &map[..1], "linux").unwrap();
        assert_eq!(maps.uid, "0 100000 65536\n70000 5 1\n");
        assert_eq!(maps.gid, "0 100000 65536\n");
    }

    #[test]
    fn a_user_of_the_container_is_another_on_the_host() {
        let map = r#"[{"containerID": 0, "hostID": 100000, "size": 10}, {"containerID": 50, "hostID": 5, "size": 1}]"#;
        let map: Vec<LinuxIdMapping> = serde_json::from_str(map).unwrap();
        let expected = [
            (0, Some(100_000)),
            (9, Some(100_009)),
            (10, None),
            (50, Some(5)),
        ];
        for (uid, host) in expected {
            assert_eq!(on_host(&map, uid), host);
        }
    }
}

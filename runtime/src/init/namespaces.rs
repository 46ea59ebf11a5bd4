//! The namespaces of a container that belongs to no pod, by its spec alone.
//!
//! New ones come with the clone, those by path are joined: pid and time by the
//! parent, for they only count for children, all others by the child.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use oci_spec::runtime::{LinuxNamespaceType as Kind, Spec};

use super::idmap::Maps;
use super::{Fault, OrFault};

/// Not in `nix`, for clone(2) has no room for it.
const CLONE_NEWTIME: CloneFlags = CloneFlags::from_bits_retain(libc::CLONE_NEWTIME);

/// Where each of the container's namespaces comes from.
#[derive(Debug)]
pub(crate) struct Namespaces {
    new: CloneFlags,
    joined: Vec<(Kind, OwnedFd)>,
    /// Of a new user namespace.
    pub maps: Option<Maps>,
    clock: Vec<String>,
}

impl Namespaces {
    pub fn of(spec: &Spec) -> Result<Self, Fault> {
        let linux = spec.linux().as_ref();
        let wanted = linux.and_then(|l| l.namespaces().as_deref());
        let mut namespaces = Self {
            new: CloneFlags::empty(),
            joined: Vec::new(),
            maps: None,
            clock: clock_offsets(spec)?,
        };
        for namespace in wanted.unwrap_or_default() {
            let kind = namespace.typ();
            if namespaces.has(kind) {
                return Err(refused(format!(
                    "linux.namespaces names {kind} more than once"
                )));
            }
            match namespace.path().as_deref() {
                Some(path) if !path.as_os_str().is_empty() => {
                    namespaces.joined.push((kind, open(kind, path)?))
                }
                _ => namespaces.new |= flag(kind),
            }
        }
        namespaces.maps = Maps::of_spec(spec, namespaces.makes(Kind::User))?;
        namespaces.check(spec)?;
        Ok(namespaces)
    }

    /// What the spec asks for that takes a namespace it does not have.
    fn check(&self, spec: &Spec) -> Result<(), Fault> {
        if !self.has(Kind::Mount) {
            return Err(refused(
                "a container needs a mount namespace: add one to linux.namespaces".into(),
            ));
        }
        let names = [
            ("hostname", spec.hostname()),
            ("domainname", spec.domainname()),
        ];
        for (what, name) in names {
            if name.as_ref().is_some_and(|n| !n.is_empty()) && !self.has(Kind::Uts) {
                return Err(refused(format!(
                    "unable to set {what} without a private UTS namespace"
                )));
            }
        }
        if !self.clock.is_empty() && !self.makes(Kind::Time) {
            return Err(refused(
                "linux.timeOffsets take a new time namespace".into(),
            ));
        }
        Ok(())
    }

    /// Whether it is not the host's.
    pub fn has(&self, kind: Kind) -> bool {
        self.makes(kind) || self.joined.iter().any(|(joined, _)| *joined == kind)
    }

    pub fn makes(&self, kind: Kind) -> bool {
        self.new.contains(flag(kind))
    }

    /// A user namespace with the maps of the container's; none where it is the host's.
    pub fn users(&self) -> Result<Option<OwnedFd>, Fault> {
        let what = || "open the container's user namespace".to_owned();
        if let Some(maps) = &self.maps {
            return maps.namespace().or_fault(what).map(Some);
        }
        let joined = self.joined.iter().find(|(kind, _)| *kind == Kind::User);
        let users = joined.map(|(_, fd)| fd.try_clone()).transpose();
        users.or_fault(what)
    }

    /// What the clone is to make. The cgroup namespace waits for the group to be joined.
    pub fn flags(&self) -> CloneFlags {
        self.new
            .difference(CloneFlags::CLONE_NEWCGROUP | CLONE_NEWTIME)
    }

    /// Runs `fork` so that the child has the pid and time namespaces that only children get.
    pub fn with_children_in<T>(&self, fork: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
        let own = |name: &str, kind| {
            open(kind, &Path::new("/proc/self/ns").join(name)).map(|fd| (kind, fd))
        };
        let mut before = Vec::new();
        if let Some((_, pid)) = self.joined.iter().find(|(kind, _)| *kind == Kind::Pid) {
            before.push(own("pid", Kind::Pid)?);
            setns(pid, CloneFlags::CLONE_NEWPID).or_fault(|| "join the pid namespace".into())?;
        }
        if self.makes(Kind::Time) {
            before.push(own("time", Kind::Time)?);
            unshare(CLONE_NEWTIME).or_fault(|| "make a time namespace".into())?;
            for offset in &self.clock {
                std::fs::write("/proc/self/timens_offsets", offset)
                    .or_fault(|| format!("set the time offset {offset:?}"))?;
            }
        }
        let forked = fork();
        for (kind, fd) in before {
            setns(fd, flag(kind)).or_fault(|| format!("return to our own {kind} namespace"))?;
        }
        forked
    }

    /// In the child: joins what is joined by path, but the mount namespace.
    pub fn join(&self) -> Result<(), Fault> {
        // The host's capabilities end with the user namespace; with it begin those in its others.
        let is_later = |kind: Kind| matches!(kind, Kind::Pid | Kind::User | Kind::Mount);
        let others = self.joined.iter().filter(|(kind, _)| !is_later(*kind));
        let mut after = Vec::new();
        for (kind, fd) in others {
            if setns(fd, flag(*kind)).is_err() {
                after.push((*kind, fd));
            }
        }
        let user = self.joined_one(Kind::User);
        for (kind, fd) in user.map(|fd| (Kind::User, fd)).into_iter().chain(after) {
            setns(fd, flag(kind)).or_fault(|| format!("join the {kind} namespace"))?;
        }
        Ok(())
    }

    /// Last, for with it the host's files are gone.
    pub fn join_mount(&self) -> Result<(), Fault> {
        match self.joined_one(Kind::Mount) {
            Some(fd) => setns(fd, flag(Kind::Mount)).or_fault(|| "join the mount namespace".into()),
            None => Ok(()),
        }
    }

    fn joined_one(&self, kind: Kind) -> Option<&OwnedFd> {
        let found = self.joined.iter().find(|(joined, _)| *joined == kind);
        found.map(|(_, fd)| fd)
    }

    /// Whether the new namespaces are to belong to a user namespace that is there already.
    pub fn joins_users(&self) -> bool {
        self.joined_one(Kind::User).is_some()
    }

    /// In the child, once it is in a user namespace that has its maps.
    pub fn become_root(&self) -> Result<(), Fault> {
        match self.has(Kind::User) {
            true => become_root(CloneFlags::CLONE_NEWUSER),
            false => Ok(()),
        }
    }

    /// In the child, once it is in its cgroup: from there on that is what `/` means.
    pub fn make_cgroup(&self) -> Result<(), Fault> {
        if !self.makes(Kind::Cgroup) {
            return Ok(());
        }
        unshare(CloneFlags::CLONE_NEWCGROUP).or_fault(|| "make a cgroup namespace".into())
    }
}

/// Becomes root of the user namespace that the calling process has entered, where it has one.
pub(super) fn become_root(entered: CloneFlags) -> Result<(), Fault> {
    if !entered.contains(CloneFlags::CLONE_NEWUSER) {
        return Ok(());
    }
    let what = || "become root of the user namespace".to_owned();
    let (uid, gid) = (Uid::from_raw(0), Gid::from_raw(0));
    setresgid(gid, gid, gid).or_fault(what)?;
    setgroups(&[]).or_fault(what)?;
    setresuid(uid, uid, uid).or_fault(what)
}

fn refused(why: String) -> Fault {
    Fault::Create(why)
}

fn open(kind: Kind, path: &Path) -> Result<OwnedFd, Fault> {
    use std::os::unix::fs::OpenOptionsExt;
    let what = || format!("open the {kind} namespace {}", path.display());
    let open = std::fs::File::options()
        .read(true)
        // Whatever is there instead of a namespace is not waited for.
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path);
    let file = open.or_fault(what)?;
    let is_one = nix::sys::statfs::fstatfs(file.as_fd()).or_fault(what)?;
    if is_one.filesystem_type() != nix::sys::statfs::NSFS_MAGIC {
        return Err(refused(format!("{}: it is no namespace", what())));
    }
    Ok(file.into())
}

pub(crate) fn flag(kind: Kind) -> CloneFlags {
    match kind {
        Kind::Mount => CloneFlags::CLONE_NEWNS,
        Kind::Cgroup => CloneFlags::CLONE_NEWCGROUP,
        Kind::Uts => CloneFlags::CLONE_NEWUTS,
        Kind::Ipc => CloneFlags::CLONE_NEWIPC,
        Kind::User => CloneFlags::CLONE_NEWUSER,
        Kind::Pid => CloneFlags::CLONE_NEWPID,
        Kind::Network => CloneFlags::CLONE_NEWNET,
        Kind::Time => CLONE_NEWTIME,
    }
}

/// The lines of time_namespaces(7).
fn clock_offsets(spec: &Spec) -> Result<Vec<String>, Fault> {
    let offsets = spec
        .linux()
        .as_ref()
        .and_then(|l| l.time_offsets().as_ref());
    let line = |(clock, offset): (&String, &oci_spec::runtime::LinuxTimeOffset)| {
        if !["monotonic", "boottime"].contains(&clock.as_str()) {
            return Err(refused(format!(
                "linux.timeOffsets: {clock:?} is neither monotonic nor boottime"
            )));
        }
        let (secs, nanos) = (offset.secs().unwrap_or(0), offset.nanosecs().unwrap_or(0));
        Ok(format!("{clock} {secs} {nanos}"))
    };
    offsets.into_iter().flatten().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(linux: &str) -> Spec {
        let text = format!(r#"{{"ociVersion": "1.2.0", "linux": {linux}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    fn why(linux: &str) -> String {
        match Namespaces::of(&spec(linux)) {
            Err(Fault::Create(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_namespace_is_named_once() {
        let twice = r#"{"namespaces": [{"type": "mount"}, {"type": "pid"}, {"type": "pid"}]}"#;
        assert!(why(twice).contains("more than once"));
    }

    #[test]
    fn a_container_without_a_mount_namespace_is_refused() {
        assert!(why(r#"{"namespaces": [{"type": "pid"}]}"#).contains("mount namespace"));
    }

    #[test]
    fn a_path_that_is_no_namespace_is_refused() {
        let path =
            r#"{"namespaces": [{"type": "mount"}, {"type": "network", "path": "/dev/null"}]}"#;
        assert!(why(path).contains("it is no namespace"));
    }

    #[test]
    fn maps_go_with_a_user_namespace_and_one_with_the_other() {
        let map = r#"[{"containerID": 0, "hostID": 1000, "size": 10}]"#;
        let only_maps = format!(r#"{{"namespaces": [{{"type": "mount"}}], "uidMappings": {map}}}"#);
        assert!(why(&only_maps).contains("user namespace"));
        let no_maps = r#"{"namespaces": [{"type": "mount"}, {"type": "user"}]}"#;
        assert!(why(no_maps).contains("uidMappings"));
    }

    #[test]
    fn the_cgroup_namespace_is_not_made_before_the_group_is_joined() {
        let all = r#"{"namespaces": [{"type": "mount"}, {"type": "pid"}, {"type": "cgroup"}, {"type": "time"}]}"#;
        let namespaces = Namespaces::of(&spec(all)).unwrap();
        assert_eq!(
            namespaces.flags(),
            CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID
        );
        assert!(namespaces.makes(Kind::Cgroup) && namespaces.makes(Kind::Time));
    }
}

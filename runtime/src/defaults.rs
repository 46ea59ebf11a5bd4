//! The container Kubernetes' runtimes make when the pod asks for nothing special.
//!
//! [`spec`] is a whole one to start from; the parts are here for those who
//! change some of them. `/etc/hosts`, volumes and the like are the caller's.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use oci_spec::runtime::{
    Capability, LinuxBuilder, LinuxCapabilities, LinuxCapabilitiesBuilder, LinuxDevice,
    LinuxDeviceBuilder, LinuxDeviceCgroup, LinuxDeviceCgroupBuilder, LinuxDeviceType,
    LinuxResourcesBuilder, Mount, MountBuilder, ProcessBuilder, RootBuilder, Spec, SpecBuilder,
};

pub use crate::seccomp::default_profile as seccomp;

/// The fourteen capabilities a container has unless it adds or drops some.
pub const CAPABILITIES: [Capability; 14] = [
    Capability::AuditWrite,
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::Mknod,
    Capability::NetBindService,
    Capability::NetRaw,
    Capability::Setfcap,
    Capability::Setgid,
    Capability::Setpcap,
    Capability::Setuid,
    Capability::SysChroot,
];

/// Every capability there is: for privileged containers, and for `add: [ALL]`.
pub const ALL_CAPABILITIES: [Capability; 41] = [
    Capability::AuditControl,
    Capability::AuditRead,
    Capability::AuditWrite,
    Capability::BlockSuspend,
    Capability::Bpf,
    Capability::CheckpointRestore,
    Capability::Chown,
    Capability::DacOverride,
    Capability::DacReadSearch,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::IpcLock,
    Capability::IpcOwner,
    Capability::Kill,
    Capability::Lease,
    Capability::LinuxImmutable,
    Capability::MacAdmin,
    Capability::MacOverride,
    Capability::Mknod,
    Capability::NetAdmin,
    Capability::NetBindService,
    Capability::NetBroadcast,
    Capability::NetRaw,
    Capability::Perfmon,
    Capability::Setgid,
    Capability::Setfcap,
    Capability::Setpcap,
    Capability::Setuid,
    Capability::SysAdmin,
    Capability::SysBoot,
    Capability::SysChroot,
    Capability::SysModule,
    Capability::SysNice,
    Capability::SysPacct,
    Capability::SysPtrace,
    Capability::SysRawio,
    Capability::SysResource,
    Capability::SysTime,
    Capability::SysTtyConfig,
    Capability::Syslog,
    Capability::WakeAlarm,
];

/// Hidden from containers that are not privileged.
pub const MASKED_PATHS: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// Not writable in containers that are not privileged.
pub const READONLY_PATHS: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// Bounding, effective and permitted; nothing inheritable or ambient (CVE-2022-27650).
pub fn capabilities(set: HashSet<Capability>) -> LinuxCapabilities {
    LinuxCapabilitiesBuilder::default()
        .bounding(set.clone())
        .effective(set.clone())
        .permitted(set)
        .inheritable(HashSet::new())
        .ambient(HashSet::new())
        .build()
        .expect("every field of the builder has a default")
}

/// The file systems every container has, `/dev/shm` (the pod's own) included.
pub fn mounts() -> Vec<Mount> {
    let table: [(&str, &str, &str, &[&str]); 7] = [
        ("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        (
            "/dev",
            "tmpfs",
            "tmpfs",
            &["nosuid", "strictatime", "mode=755", "size=65536k"],
        ),
        (
            "/dev/pts",
            "devpts",
            "devpts",
            &[
                "nosuid",
                "noexec",
                "newinstance",
                "ptmxmode=0666",
                "mode=0620",
                "gid=5",
            ],
        ),
        (
            "/dev/mqueue",
            "mqueue",
            "mqueue",
            &["nosuid", "noexec", "nodev"],
        ),
        (
            "/dev/shm",
            "tmpfs",
            "shm",
            &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
        ),
        (
            "/sys",
            "sysfs",
            "sysfs",
            &["nosuid", "noexec", "nodev", "ro"],
        ),
        (
            "/sys/fs/cgroup",
            "cgroup",
            "cgroup",
            &["nosuid", "noexec", "nodev", "relatime", "ro"],
        ),
    ];
    table
        .iter()
        .map(|(at, kind, source, options)| mount(at, kind, source, options))
        .collect()
}

/// A bind of a host path, with options such as `ro`, `rbind`, `rprivate`.
pub fn bind(source: &Path, at: &str, options: &[&str]) -> Mount {
    mount(at, "bind", &source.to_string_lossy(), options)
}

fn mount(at: &str, kind: &str, source: &str, options: &[&str]) -> Mount {
    MountBuilder::default()
        .destination(at)
        .typ(kind)
        .source(source)
        .options(options.iter().map(|&o| o.to_owned()).collect::<Vec<_>>())
        .build()
        .expect("every field of the builder has a default")
}

/// Allows the devices every container has, and those in `more`, and no others.
pub fn device_rules(more: &[LinuxDevice]) -> Vec<LinuxDeviceCgroup> {
    let rule = |allow, kind, major: Option<i64>, minor: Option<i64>, access: &str| {
        let mut rule = LinuxDeviceCgroupBuilder::default()
            .allow(allow)
            .typ(kind)
            .access(access);
        if let Some(major) = major {
            rule = rule.major(major);
        }
        if let Some(minor) = minor {
            rule = rule.minor(minor);
        }
        rule.build()
            .expect("every field of the builder has a default")
    };
    let character = |major, minor| rule(true, LinuxDeviceType::C, Some(major), minor, "rwm");
    let mut rules = vec![
        rule(false, LinuxDeviceType::A, None, None, "rwm"),
        // Nodes may be made (CAP_MKNOD), which opens none of them.
        rule(true, LinuxDeviceType::C, None, None, "m"),
        rule(true, LinuxDeviceType::B, None, None, "m"),
    ];
    rules.extend([3, 5, 7, 8, 9].map(|minor| character(1, Some(minor))));
    rules.extend([
        character(5, Some(0)),
        character(5, Some(1)),
        character(5, Some(2)),
        character(136, None),
    ]);
    rules.extend(
        more.iter()
            .map(|d| rule(true, d.typ(), Some(d.major()), Some(d.minor()), "rwm")),
    );
    rules
}

/// Allows every device: for privileged containers.
pub fn all_devices_rule() -> LinuxDeviceCgroup {
    LinuxDeviceCgroupBuilder::default()
        .allow(true)
        .typ(LinuxDeviceType::A)
        .access("rwm")
        .build()
        .expect("every field of the builder has a default")
}

/// The host's devices, which a privileged container sees.
pub fn host_devices() -> Vec<LinuxDevice> {
    let mut found = Vec::new();
    find_devices(Path::new("/dev"), 0, &mut found);
    found
}

/// Mounts of their own in a container, or made there anyway.
const NOT_DEVICES: [&str; 9] = [
    "pts",
    "shm",
    "mqueue",
    "fd",
    ".lxc",
    ".lxd-mounts",
    ".udev",
    "console",
    "ptmx",
];

fn find_devices(dir: &Path, depth: usize, found: &mut Vec<LinuxDevice>) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries
        .flatten()
        .filter(|e| !NOT_DEVICES.iter().any(|n| e.file_name() == *n))
    {
        let Ok(meta) = fs::symlink_metadata(entry.path()) else {
            continue;
        };
        if meta.is_dir() && depth < 4 {
            find_devices(&entry.path(), depth + 1, found);
        }
        found.extend(device(&entry.path(), &meta));
    }
}

fn device(path: &Path, meta: &fs::Metadata) -> Option<LinuxDevice> {
    let kind = match meta.file_type() {
        t if t.is_char_device() => LinuxDeviceType::C,
        t if t.is_block_device() => LinuxDeviceType::B,
        _ => return None,
    };
    let (major, minor) = (
        nix::sys::stat::major(meta.rdev()),
        nix::sys::stat::minor(meta.rdev()),
    );
    let device = LinuxDeviceBuilder::default()
        .path(path)
        .typ(kind)
        .major(i64::try_from(major).ok()?)
        .minor(i64::try_from(minor).ok()?)
        .file_mode(meta.mode() & 0o7777)
        .uid(meta.uid())
        .gid(meta.gid());
    device.build().ok()
}

/// A container that runs `args` with all the defaults and without a seccomp profile.
pub fn spec(args: Vec<String>) -> Spec {
    let process = ProcessBuilder::default()
        .args(args)
        .env(vec![
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        ])
        .cwd("/")
        .no_new_privileges(false)
        .capabilities(capabilities(CAPABILITIES.into()))
        .rlimits(Vec::new())
        .build();
    let resources = LinuxResourcesBuilder::default()
        .devices(device_rules(&[]))
        .build();
    let linux = LinuxBuilder::default()
        .resources(resources.expect("every field of the builder has a default"))
        .masked_paths(MASKED_PATHS.map(str::to_owned).to_vec())
        .readonly_paths(READONLY_PATHS.map(str::to_owned).to_vec())
        .build();
    SpecBuilder::default()
        .process(process.expect("every field of the builder has a default"))
        .root(
            RootBuilder::default()
                .path("rootfs")
                .readonly(false)
                .build()
                .expect("path and readonly are set"),
        )
        .mounts(mounts())
        .linux(linux.expect("every field of the builder has a default"))
        .hostname("")
        .build()
        .expect("every field of the builder has a default")
}

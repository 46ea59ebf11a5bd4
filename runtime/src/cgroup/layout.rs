//! How this machine mounts its control groups.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The mounted hierarchies that we use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layout {
    /// One hierarchy a controller or two. In the hybrid layout there is a v2
    /// hierarchy too, without controllers, by which systemd knows its services.
    V1 {
        hierarchies: Vec<Hierarchy>,
        unified: Option<PathBuf>,
    },
    /// The unified hierarchy.
    V2 { mount: PathBuf },
}

/// A mounted v1 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hierarchy {
    /// The directory's name: `cpu,cpuacct`.
    pub name: String,
    /// `cpu`, `cpuacct`; for the one systemd keeps, `name=systemd`.
    pub controllers: Vec<String>,
    pub mount: PathBuf,
}

const CONTROLLERS: [&str; 13] = [
    "blkio",
    "cpu",
    "cpuacct",
    "cpuset",
    "devices",
    "freezer",
    "hugetlb",
    "memory",
    "misc",
    "net_cls",
    "net_prio",
    "perf_event",
    "pids",
];

impl Layout {
    pub fn detect() -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").map_err(|source| Error::Path {
            what: "read",
            path: "/proc/self/mounts".into(),
            source,
        })?;
        Self::parse(&mounts).ok_or_else(|| Error::Node {
            what: "no cgroups are mounted: mount cgroup2 on /sys/fs/cgroup, as systemd does".into(),
        })
    }

    /// Reads `/proc/self/mounts`; the first mount of each hierarchy counts.
    fn parse(mounts: &str) -> Option<Self> {
        let lines = mounts
            .lines()
            .map(|l| l.split(' ').collect::<Vec<_>>())
            .filter(|f| f.len() >= 4);
        let (mut hierarchies, mut unified): (Vec<Hierarchy>, _) = (Vec::new(), None);
        for fields in lines {
            match fields[2] {
                "cgroup2" => unified = unified.or(Some(PathBuf::from(fields[1]))),
                "cgroup" => {
                    hierarchies.extend(Hierarchy::parse(fields[1], fields[3], &hierarchies))
                }
                _ => {}
            }
        }
        match unified {
            _ if hierarchies.iter().any(Hierarchy::limits) => Some(Self::V1 {
                hierarchies,
                unified,
            }),
            Some(mount) => Some(Self::V2 { mount }),
            None => None,
        }
    }
}

impl Hierarchy {
    fn parse(mount: &str, options: &str, known: &[Self]) -> Option<Self> {
        let controllers: Vec<String> = options
            .split(',')
            .filter(|o| CONTROLLERS.contains(o) || o.starts_with("name="))
            .map(str::to_owned)
            .collect();
        let is_new = known.iter().all(|k| k.controllers != controllers);
        let mount = PathBuf::from(mount);
        let name = mount.file_name()?.to_str()?.to_owned();
        (is_new && !controllers.is_empty()).then_some(Self {
            name,
            controllers,
            mount,
        })
    }

    /// Whether it has a controller of resources, not only systemd's names.
    fn limits(&self) -> bool {
        self.controllers.iter().any(|c| !c.starts_with("name="))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
proc /proc proc rw 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,relatime,name=systemd 0 0
cgroup /other/memory cgroup rw,memory 0 0
cgroup /twice/memory cgroup rw,memory 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0
";

    #[test]
    fn hybrid_counts_as_v1_and_each_hierarchy_once() {
        let Some(Layout::V1 {
            hierarchies,
            unified,
        }) = Layout::parse(HYBRID)
        else {
            panic!("not v1")
        };
        let names: Vec<_> = hierarchies
            .iter()
            .map(|h| h.mount.to_str().unwrap())
            .collect();
        assert_eq!(
            names,
            [
                "/sys/fs/cgroup/cpu,cpuacct",
                "/sys/fs/cgroup/systemd",
                "/other/memory"
            ]
        );
        assert_eq!(hierarchies[0].controllers, ["cpu", "cpuacct"]);
        assert_eq!(unified, Some("/sys/fs/cgroup/unified".into()));
    }

    #[test]
    fn one_unified_hierarchy_is_v2() {
        let mounts = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nsdelegate 0 0\n";
        assert_eq!(
            Layout::parse(mounts),
            Some(Layout::V2 {
                mount: "/sys/fs/cgroup".into()
            })
        );
    }

    #[test]
    fn systemds_names_beside_cgroup2_do_not_make_it_v1() {
        let mounts = "cgroup /a/systemd cgroup rw,name=systemd 0 0\ncgroup2 /a/u cgroup2 rw 0 0\n";
        assert_eq!(
            Layout::parse(mounts),
            Some(Layout::V2 {
                mount: "/a/u".into()
            })
        );
    }

    #[test]
    fn a_machine_without_cgroups_is_told_apart() {
        assert_eq!(Layout::parse("proc /proc proc rw 0 0\n"), None);
    }
}

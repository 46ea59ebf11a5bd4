//! Which containers run, each told from any other that ever was.

use std::collections::BTreeMap;

use e2e::Vm;
use k8s_openapi::api::core::v1::Pod;

use crate::api::Api;
use crate::cluster::Cluster;

/// First processes of PID namespaces: their ids here, names, and when they began.
const PROCESSES: &str = "cat /proc/[0-9]*/status 2>/dev/null |
    awk '/^Name:/ { name = $2 } /^Pid:/ { pid = $2 } /^NSpid:/ { if (NF > 2 && $NF == 1) print pid, name }' |
    while read -r pid name; do echo \"$name $pid $(cut -d' ' -f22 /proc/$pid/stat)\"; done | grep ^httpd | sort";

/// All of a cluster's containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Containers {
    /// By node.
    pub processes: [Vec<String>; 2],
    /// By pod: node, id and restarts of its container.
    pub told: BTreeMap<String, (String, String, i32)>,
}

impl Containers {
    pub fn of(cluster: &Cluster, api: &Api) -> Self {
        let pods = api.list(&api.of::<Pod>(), "app=web");
        Self {
            processes: cluster.nodes.each_ref().map(processes),
            told: pods.into_iter().filter_map(told).collect(),
        }
    }

    #[track_caller]
    pub fn are_the_same(&self, cluster: &Cluster, api: &Api, after: &str) {
        let now = Self::of(cluster, api);
        assert_eq!(&now, self, "after {after}, containers are others");
    }

    /// Those of one node.
    pub fn told_of(&self, node: &str) -> Vec<(&String, &String, i32)> {
        let here = self.told.iter().filter(|(_, (on, _, _))| on == node);
        here.map(|(pod, (_, id, restarts))| (pod, id, *restarts))
            .collect()
    }
}

#[track_caller]
pub fn processes(node: &Vm) -> Vec<String> {
    node.ok(PROCESSES).lines().map(str::to_owned).collect()
}

fn told(pod: Pod) -> Option<(String, (String, String, i32))> {
    let status = pod.status?.container_statuses?.into_iter().next()?;
    let id = status.container_id.unwrap_or_default();
    Some((
        pod.metadata.name?,
        (pod.spec?.node_name?, id, status.restart_count),
    ))
}

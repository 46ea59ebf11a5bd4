//! `skiff upgrade`: to a binary that works, and to one that does not.

use e2e::Vm;

use crate::api::Api;
use crate::cluster::Cluster;
use crate::life::daemon;
use crate::pods::Containers;

/// No container notices any of it.
pub fn succeeds_or_is_undone(cluster: &Cluster, api: &Api) {
    let before = Containers::of(cluster, api);
    let [one, two] = &cluster.nodes;
    std::thread::scope(|scope| {
        // That takes as long as a daemon may take to be ready; others go on meanwhile.
        cluster.step("node one is upgraded to a skiff that hangs");
        scope.spawn(|| is_undone(one, "hangs"));
        cluster.step("server and node two are upgraded");
        succeeds(&cluster.server);
        succeeds(two);
        cluster.step("server and node two are upgraded to a skiff that ends");
        is_undone(&cluster.server, "ends");
        is_undone(two, "ends");
    });
    for node in &cluster.nodes {
        api.wait_node_ready(node.name);
    }
    before.are_the_same(cluster, api, "upgrades");
}

fn succeeds(machine: &Vm) {
    let daemon = daemon(machine);
    machine.ok(&format!(
        "{daemon}before=$(main_pid)\n\
         skiff upgrade --binary next | tee /dev/shm/said\n\
         grep -q '/usr/bin/skiff: .* replaced by' /dev/shm/said\n\
         is_started_anew $before\n\
         cmp next /proc/$(main_pid)/exe"
    ));
}

/// What ran before runs again, by itself.
fn is_undone(machine: &Vm, binary: &str) {
    let daemon = daemon(machine);
    machine.ok(&format!(
        "{daemon}before=$(main_pid); cp /usr/bin/skiff /var/tmp/before\n\
         if skiff upgrade --binary {binary} >/dev/shm/said 2>&1; then cat /dev/shm/said; exit 1; fi\n\
         grep -q 'did not come up; skiff .* is back and runs' /dev/shm/said || {{ cat /dev/shm/said; exit 1; }}\n\
         is_started_anew $before\n\
         cmp /var/tmp/before /usr/bin/skiff\n\
         cmp /var/tmp/before /proc/$(main_pid)/exe\n\
         rm /var/tmp/before"
    ));
}

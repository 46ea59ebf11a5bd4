//! Daemons that end, and machines that do.

use e2e::Vm;

use crate::api::Api;
use crate::cluster::Cluster;
use crate::pods::Containers;
use crate::requests::{self, Since};
use crate::web::{self, Address};
use crate::writes::Writes;

pub fn unit(machine: &Vm) -> &'static str {
    if machine.name == "server" {
        "skiff-server.service"
    } else {
        "skiff-agent.service"
    }
}

/// Shell functions about the daemon of a machine.
pub fn daemon(machine: &Vm) -> String {
    format!(
        "unit={}\n\
         main_pid() {{ systemctl show -p MainPID --value $unit; }}\n\
         is_started_anew() {{ [ \"$(main_pid)\" != $1 ] && [ \"$(main_pid)\" != 0 ] && [ \"$(systemctl is-active $unit)\" = active ]; }}\n",
        unit(machine)
    )
}

pub fn daemons_restart(cluster: &Cluster, api: &Api) {
    each_daemon(cluster, api, "systemctl restart", |machine| {
        let daemon = daemon(machine);
        machine.ok(&format!(
            "{daemon}before=$(main_pid); systemctl restart $unit; is_started_anew $before"
        ));
    });
}

pub fn daemons_are_killed(cluster: &Cluster, api: &Api) {
    each_daemon(cluster, api, "kill -9", |machine| {
        let daemon = daemon(machine);
        let before = machine.ok(&format!("{daemon}main_pid"));
        let before = before.trim();
        machine.ok(&format!("kill -9 {before}"));
        machine.until(&format!("{daemon}is_started_anew {before}"));
    });
}

/// Ends one daemon after the other. No container notices; a Service goes on answering on
/// all nodes but the one whose own daemon it was.
fn each_daemon(cluster: &Cluster, api: &Api, how: &str, end: impl Fn(&Vm)) {
    let before = Containers::of(cluster, api);
    for machine in cluster.all() {
        let what = format!("{how} of the daemon of {}", machine.name);
        cluster.step(&what);
        let since = cluster.nodes.each_ref().map(Since::now);
        end(machine);
        for (node, since) in cluster.nodes.iter().zip(since) {
            since.is_answered_again();
            if node.name != machine.name {
                since.all_were_answered(&what);
            }
        }
        before.are_the_same(cluster, api, &what);
    }
    for node in &cluster.nodes {
        let (pod, _, _) = before.told_of(node.name)[0];
        let said = cluster
            .server
            .until(&format!("skiff exec {pod} -- hostname"));
        assert_eq!(
            said.trim(),
            pod,
            "a command runs in a container of {}",
            node.name
        );
    }
}

/// Its pods come back with it; nothing happens on the other node.
pub fn node_reboots(cluster: &Cluster, api: &Api, service: &Address) {
    let [one, two] = &cluster.nodes;
    cluster.step("node two reboots");
    let before = Containers::of(cluster, api);
    two.reboot();
    cluster.step("node two is there again");
    let console = two.console();
    assert!(
        !console.contains("Waiting for process"),
        "something did not end: {console}"
    );
    two.until(&format!("systemctl is-active {}", unit(two)));
    api.wait_node_ready(two.name);
    web::wait_ready(api);
    let after = Containers::of(cluster, api);
    assert_eq!(after.processes[0], before.processes[0], "processes on one");
    assert_eq!(
        after.told_of(one.name),
        before.told_of(one.name),
        "containers on one"
    );
    assert_eq!(after.processes[1].len(), 2, "{after:?}");
    web::answers(two, &service.ip, 80);
    requests::start(two, &service.ip);
}

/// No container notices, and the Service answers all the time.
pub fn server_reboots(cluster: &Cluster, api: &Api, writes: &Writes) {
    cluster.step("the server reboots");
    let before = Containers::of(cluster, api);
    let since = cluster.nodes.each_ref().map(Since::now);
    cluster.server.reboot();
    cluster.step("the server is there again");
    cluster
        .server
        .until("systemctl is-active skiff-server.service");
    let count = writes.count();
    api.until("writes to go on", || {
        let is_more = writes.count() > count;
        is_more
            .then_some(())
            .ok_or_else(|| "they do not".to_owned())
    });
    for node in &cluster.nodes {
        api.wait_node_ready(node.name);
    }
    for since in since {
        since.all_were_answered("while the server rebooted");
    }
    before.are_the_same(cluster, api, "the reboot of the server");
}

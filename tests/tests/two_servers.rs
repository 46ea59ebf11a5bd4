//! Two servers, one cluster: their state is on an etcd that both share.

use std::time::Duration;

use e2e::{Etcd, HollowNodes, Machine, Network, Skiff, need, run, until};
use nix::sys::signal::{Signal, kill};
use serde_json::{Value, json};

const PROGRAMS: &[&str] = &["etcd", "kubectl", "nsenter"];
const A_MINUTE: Duration = Duration::from_secs(60);

fn pods(skiff: &Skiff<'_>) -> usize {
    let pods = skiff.kubectl().get(&["pods", "-l", "app=web"]);
    pods["items"].as_array().map_or(0, Vec::len)
}

#[track_caller]
fn wait_for_pods(skiff: &Skiff<'_>, wanted: usize) {
    until("the pods are as many as wanted", A_MINUTE, || {
        (pods(skiff) == wanted).then_some(())
    });
}

#[track_caller]
fn scale(skiff: &Skiff<'_>, replicas: usize) {
    let replicas_flag = format!("--replicas={replicas}");
    skiff
        .kubectl()
        .ok(&["scale", "deployment", "web", &replicas_flag]);
    wait_for_pods(skiff, replicas);
}

/// What a server without the cluster's keys says when it refuses to start.
fn refusal(machine: &Machine, flags: &[&str]) -> String {
    let dir = e2e::skiff::new_dir();
    let mut command = machine.command(e2e::skiff::binary());
    let ip = machine.ip.to_string();
    command
        .args(["server", "--advertise-address", &ip])
        .args(flags);
    command.arg("--data-dir").arg(&dir);
    let output = run::output(&mut command);
    std::fs::remove_dir_all(&dir).expect("remove the data directory");
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn two_servers_on_one_etcd_are_one_cluster_and_each_does_without_the_other() {
    if !need::met(PROGRAMS) {
        return;
    }
    let mut network = Network::new();
    let (first, second) = (network.machine(), network.machine());
    let etcd = Etcd::on(&first);
    let flags = ["--datastore-endpoints", etcd.url.as_str()];
    let mut a = Skiff::server(&first, &flags);

    let refused = refusal(&second, &flags);
    assert!(
        refused.contains("another certificate authority"),
        "{refused}"
    );
    let mut b = Skiff::server_beside(&a, &second, &flags);

    a.kubectl().ok(&[
        "create",
        "deployment",
        "web",
        "--image=none",
        "--replicas=4",
    ]);
    wait_for_pods(&b, 4);
    scale(&b, 6);
    // Whichever leads.
    a.kill();
    scale(&b, 3);
    a.start();
    a.wait_api();
    assert_eq!(pods(&a), 3);
    until("both are endpoints", A_MINUTE, || {
        let endpoints = a.kubectl().get(&["endpoints", "kubernetes"]);
        let addresses = endpoints["subsets"][0]["addresses"].as_array().cloned();
        let ips = addresses.iter().flatten().filter_map(|a| a["ip"].as_str());
        let ips: Vec<&str> = ips.collect();
        (ips == [first.ip.to_string(), second.ip.to_string()]).then_some(())
    });
    b.stop();
    scale(&a, 5);
    let leases = a.kubectl().get(&["leases", "-n", "kube-system"]);
    let holders = leases["items"].as_array().expect("a list of leases");
    let is_held = |lease: &Value| lease["spec"]["holderIdentity"].is_string();
    assert!(
        holders.len() >= 2 && holders.iter().all(is_held),
        "{leases}"
    );
}

/// How many pods there are, without listing them all.
fn count(skiff: &Skiff<'_>) -> u64 {
    let list = skiff
        .kubectl()
        .ok(&["get", "--raw", "/api/v1/namespaces/default/pods?limit=1"]);
    let list: Value = serde_json::from_str(&list).expect("a list is JSON");
    let first = list["items"].as_array().map_or(0, Vec::len) as u64;
    first + list["metadata"]["remainingItemCount"].as_u64().unwrap_or(0)
}

/// The names of the servers that lead, by Lease.
fn leaders(skiff: &Skiff<'_>) -> Vec<String> {
    let names = ["kube-controller-manager", "kube-scheduler"];
    let holder = |name: &&str| {
        let lease = skiff.kubectl().get(&["lease", "-n", "kube-system", name]);
        lease["spec"]["holderIdentity"].as_str().map(str::to_owned)
    };
    names.iter().filter_map(holder).collect()
}

/// A leader is stopped in the middle of making pods, for longer than its Lease
/// lasts. What it was at when it goes on is no longer its business.
#[test]
fn leader_that_stood_still_does_nothing_more_when_another_has_taken_over() {
    const PODS: u64 = 600;
    if !need::met(PROGRAMS) {
        return;
    }
    let mut network = Network::new();
    let (first, second) = (network.machine(), network.machine());
    let etcd = Etcd::on(&first);
    let flags = ["--datastore-endpoints", etcd.url.as_str()];
    let a = Skiff::server(&first, &flags);
    until("the first server leads", A_MINUTE, || {
        (leaders(&a).len() == 2).then_some(())
    });
    let b = Skiff::server_beside(&a, &second, &flags);
    let _nodes = HollowNodes::start(&second, &b, 8);
    let before = leaders(&b);
    let web = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
        "spec": { "replicas": PODS, "selector": { "matchLabels": { "app": "web" } },
            "template": { "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "c", "image": "none" }] } } } });
    b.kubectl().apply(&web);
    until("some pods are there", A_MINUTE, || {
        (count(&b) >= PODS / 10).then_some(())
    });
    kill(a.pid(), Signal::SIGSTOP).expect("stop a process of our own");
    println!("stopped after {} pods", count(&b));

    until("the other leads", 2 * A_MINUTE, || {
        let now = leaders(&b);
        (now.len() == 2 && now.iter().all(|leader| !before.contains(leader))).then_some(())
    });
    b.kubectl()
        .wait(&["deployment", "web"], 2 * A_MINUTE, |web| {
            web["status"]["readyReplicas"] == PODS
        });
    assert_eq!(count(&b), PODS);
    let list = b.kubectl().ok(&["get", "--raw", "/api/v1/pods?limit=1"]);
    let list: Value = serde_json::from_str(&list).expect("a list is JSON");
    let version = list["metadata"]["resourceVersion"].clone();
    let version = version.as_str().expect("a list has a version");

    kill(a.pid(), Signal::SIGCONT).expect("continue a process of our own");
    until("it sees that it leads no more", A_MINUTE, || {
        (a.log().matches("does not lead any more").count() == 2).then_some(())
    });
    a.wait_api();
    let watch = format!("/api/v1/pods?watch=1&timeoutSeconds=3&resourceVersion={version}");
    let changes = b.kubectl().ok(&["get", "--raw", &watch]);
    let is_act = |line: &&str| line.contains("\"ADDED\"") || line.contains("\"DELETED\"");
    assert_eq!(changes.lines().find(is_act), None);
    assert_eq!(count(&a), PODS);
    assert!(leaders(&a).iter().all(|leader| !before.contains(leader)));
}

//! The state of a cluster moves from a data directory into etcd and back, by one
//! command each.

use std::time::Duration;

use e2e::{Etcd, HollowNodes, Kubectl, Network, Skiff, need, run, until};
use serde_json::{Value, json};

const PROGRAMS: &[&str] = &["etcd", "kubectl", "nsenter"];
const PATIENCE: Duration = Duration::from_secs(120);

/// What must be the same before and after.
fn objects(kubectl: &Kubectl<'_>) -> Vec<(Value, Value)> {
    let list = kubectl.get(&["configmaps,secrets", "-n", "kept"]);
    let items = list["items"].as_array().cloned().unwrap_or_default();
    let meta = |item: &Value| item["metadata"].clone();
    items
        .iter()
        .map(|item| (meta(item), item["data"].clone()))
        .collect()
}

fn revision(kubectl: &Kubectl<'_>) -> u64 {
    let list = kubectl.ok(&["get", "--raw", "/api/v1/namespaces?limit=1"]);
    let list: Value = serde_json::from_str(&list).expect("a list is JSON");
    let version = list["metadata"]["resourceVersion"].as_str();
    version
        .and_then(|v| v.parse().ok())
        .expect("a list has a version")
}

/// Replaces an object on top of the version that was known before the move.
fn write_over(kubectl: &Kubectl<'_>, name: &str, value: &str) {
    let mut map = kubectl.get(&["configmap", name, "-n", "kept"]);
    map["data"] = json!({ "k": value });
    let file = std::env::temp_dir().join(format!("ske2e-{}.json", std::process::id()));
    std::fs::write(&file, map.to_string()).expect("write the object");
    kubectl.ok(&["replace", "-f", &file.display().to_string()]);
    let _ = std::fs::remove_file(file);
}

/// A watch from a revision before the move is told to list again.
#[track_caller]
fn must_list_again(kubectl: &Kubectl<'_>, before: u64) {
    let path = format!("/api/v1/configmaps?watch=1&timeoutSeconds=2&resourceVersion={before}");
    let output = run::output(&mut kubectl.command(&["get", "--raw", &path]));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(said.contains("too old resource version"), "{said}");
}

fn fill(kubectl: &Kubectl<'_>) {
    kubectl.ok(&["create", "namespace", "kept"]);
    for n in 0..10 {
        let name = format!("m{n}");
        let data = "--from-literal=k=v";
        kubectl.ok(&["create", "configmap", &name, "-n", "kept", data]);
    }
    let secret = ["create", "secret", "generic", "s", "-n", "kept"];
    kubectl.ok(&[&secret[..], &["--from-literal=k=v"]].concat());
    let web = ["create", "deployment", "web", "--image=none"];
    kubectl.ok(&[&web[..], &["--replicas=3"]].concat());
}

/// Nothing is lost, and nothing went back.
#[track_caller]
fn is_as_before(kubectl: &Kubectl<'_>, before: &[(Value, Value)], at: u64) {
    assert_eq!(objects(kubectl), before);
    assert!(revision(kubectl) > at);
    must_list_again(kubectl, at);
}

#[track_caller]
fn is_rolled_out(kubectl: &Kubectl<'_>, replicas: u64) {
    kubectl.wait(&["deployment", "web"], PATIENCE, |web| {
        web["status"]["readyReplicas"] == replicas
    });
}

/// Nobody goes on with what the etcd still holds.
#[track_caller]
fn is_refused_on_etcd(server: &mut Skiff<'_>) {
    server.start();
    until("a server on the etcd is refused", PATIENCE, || {
        server.log().contains("goes on there").then_some(())
    });
    server.stop();
}

#[test]
fn state_moves_into_etcd_and_back_and_no_client_sees_it_go_back() {
    if !need::met(PROGRAMS) {
        return;
    }
    let mut network = Network::new();
    let (first, second) = (network.machine(), network.machine());
    let etcd = Etcd::on(&second);
    let endpoints = ["--datastore-endpoints", etcd.url.as_str()];
    let into = [
        "datastore",
        "migrate",
        "--to",
        "etcd",
        endpoints[0],
        endpoints[1],
    ];
    let back = [
        "datastore",
        "migrate",
        "--to",
        "data-dir",
        endpoints[0],
        endpoints[1],
    ];

    let mut server = Skiff::server(&first, &[]);
    fill(&server.kubectl());
    let (before, at) = (objects(&server.kubectl()), revision(&server.kubectl()));
    let refused = run::fails(&mut server.command(&into));
    assert!(refused.contains("another skiff is running"), "{refused}");
    server.stop();

    let told = run::ok(&mut server.command(&into));
    assert!(told.contains("all compared"), "{told}");
    // Nobody goes on with what it was by mistake.
    let as_before = ["server", "--advertise-address", "127.0.0.1"];
    let refused = run::fails(&mut server.command(&as_before));
    assert!(refused.contains("was moved into etcd"), "{refused}");
    server.add_flags(&endpoints);
    server.start();
    server.wait_api();
    is_as_before(&server.kubectl(), &before, at);
    write_over(&server.kubectl(), "m0", "written in etcd");

    let beside = Skiff::server_beside(&server, &second, &endpoints);
    let nodes = HollowNodes::start(&second, &beside, 2);
    is_rolled_out(&beside.kubectl(), 3);
    let (before, at) = (objects(&server.kubectl()), revision(&server.kubectl()));
    drop(nodes);
    server.stop();
    // The other server still works on it.
    let refused = run::fails(&mut server.command(&back));
    assert!(refused.contains("stop all servers"), "{refused}");
    drop(beside);

    let told = run::ok(&mut server.command(&back));
    assert!(told.contains("all compared"), "{told}");
    is_refused_on_etcd(&mut server);
    server.remove_flags(&endpoints);
    server.start();
    server.wait_api();
    is_as_before(&server.kubectl(), &before, at);
    write_over(&server.kubectl(), "m1", "written in the log");
    let _nodes = HollowNodes::start(&first, &server, 2);
    let kubectl = server.kubectl();
    kubectl.ok(&["scale", "deployment", "web", "--replicas=5"]);
    is_rolled_out(&kubectl, 5);
}

//! How machines join, stay and come back: tokens, names, certificates, tunnels,
//! several servers.

use std::path::Path;
use std::time::Duration;

use e2e::{Etcd, Network, Skiff, image, need, run, until};
use serde_json::{Value, json};

const PROGRAMS: &[&str] = &[
    "kubectl", "skopeo", "umoci", "busybox", "nsenter", "nft", "openssl",
];
const TWO_MINUTES: Duration = Duration::from_secs(120);

fn token(server: &Skiff<'_>) -> String {
    let token = run::ok(&mut server.command(&["token", "create", "--ttl", "10m"]));
    token.trim().to_owned()
}

/// The end of a certificate, as openssl prints it.
fn end_of(certificate: &Path) -> String {
    let mut openssl = std::process::Command::new("openssl");
    openssl.args(["x509", "-noout", "-enddate", "-serial", "-in"]);
    run::ok(openssl.arg(certificate))
}

fn sleeper(node: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p" }, "spec": {
        "nodeName": node, "terminationGracePeriodSeconds": 0,
        "containers": [{ "name": "c", "image": "docker.io/library/busybox:1", "imagePullPolicy": "Never",
            "command": ["sh", "-c", "echo heard; exec sleep 1000000"] }] } })
}

/// A pod on `node` that runs; its image is brought by hand.
fn run_pod(server: &Skiff<'_>, agent: &Skiff<'_>, node: &str) {
    let busybox = image::busybox().display().to_string();
    run::ok(&mut agent.command(&["image", "import", &busybox]));
    server.kubectl().apply(&sleeper(node));
    server.kubectl().wait(&["pod", "p"], TWO_MINUTES, |pod| {
        e2e::kubectl::is_ready(pod)
    });
}

#[test]
fn a_token_lets_machines_in_until_it_is_revoked_and_no_other_gets_a_nodes_name() {
    if !need::met(PROGRAMS) {
        return;
    }
    let mut network = Network::new();
    let machines = [network.machine(), network.machine(), network.machine()];
    let [first, second, third] = &machines;
    let server = Skiff::server(first, &[]);
    let token = token(&server);
    let listed = run::ok(&mut server.command(&["token", "list"]));
    assert!(
        listed.contains(&token[..6]) && !listed.contains(&token[7..23]),
        "{listed}"
    );
    let mut agent = Skiff::agent(second, "worker", first, &token);
    server.wait_ready("worker");

    // The same name from another machine: it waits, and nobody is told to wait for long.
    let thief = Skiff::agent(third, "worker", first, &token);
    let waits = "kubectl certificate approve";
    until("the thief is told why it waits", TWO_MINUTES, || {
        thief.log().contains(waits).then_some(())
    });
    let requests = server.kubectl().get(&["csr"]);
    let pending = requests["items"].as_array().expect("a list");
    let pending = pending
        .iter()
        .filter(|csr| csr["status"]["certificate"].is_null());
    assert_eq!(pending.count(), 1, "{requests}");
    assert!(!thief.dir.join("pki/kubelet-client.crt").exists());

    // The machine that had the name is given up: then it is free.
    agent.stop();
    server.kubectl().ok(&["delete", "node", "worker"]);
    until("the thief has the name now", TWO_MINUTES, || {
        thief
            .dir
            .join("pki/kubelet-client.crt")
            .exists()
            .then_some(())
    });
    drop(thief);

    run::ok(&mut server.command(&["token", "revoke", &token]));
    let dir = server.dir.with_extension("late");
    let url = format!("https://{}:6443", first.ip);
    // It would go on as a node, if it were let in.
    let mut late = third.command("timeout");
    late.arg("60").arg(e2e::skiff::binary());
    late.args([
        "agent",
        "--server",
        &url,
        "--token",
        &token,
        "--node-name",
        "late",
    ]);
    late.args(["--node-ip", &third.ip.to_string(), "--data-dir"])
        .arg(&dir);
    let said = run::fails(&mut late);
    let _ = std::fs::remove_dir_all(&dir);
    assert!(said.contains("skiff token create"), "{said}");
}

#[test]
fn certificates_renew_while_they_are_used_and_all_that_ended_come_back() {
    if !need::met(PROGRAMS) {
        return;
    }
    let mut network = Network::new();
    let (first, second) = (network.machine(), network.machine());
    let mut server = Skiff::server(&first, &["--cluster-signing-duration", "15s"]);
    let token = token(&server);
    let mut agent = Skiff::agent(&second, "worker", &first, &token);
    server.wait_ready("worker");
    run_pod(&server, &agent, "worker");
    run::ok(&mut server.command(&["token", "revoke", &token]));

    let of_agent = |name: &str| agent.dir.join("pki").join(name);
    let files = [
        of_agent("kubelet-client.crt"),
        of_agent("kubelet.crt"),
        server.dir.join("pki/apiserver.crt"),
        server.dir.join("pki/apiserver-kubelet-client.crt"),
    ];
    for _ in 0..2 {
        let before = files.each_ref().map(|file| end_of(file));
        until("all certificates are new", TWO_MINUTES, || {
            let mut both = files.iter().zip(&before);
            both.all(|(file, before)| end_of(file) != *before)
                .then_some(())
        });
    }
    speaks(&server);
    let restarts = "jsonpath={.status.containerStatuses[0].restartCount}";
    assert_eq!(
        server.kubectl().ok(&["get", "pod", "p", "-o", restarts]),
        "0"
    );

    agent.stop();
    server.stop();
    until("all certificates have ended", TWO_MINUTES, || {
        files.iter().all(|file| has_ended(file)).then_some(())
    });
    // The agent first: it waits for its server.
    agent.start();
    server.start();
    server.wait_api();
    until("the node comes back by its key", TWO_MINUTES, || {
        (!has_ended(&files[0])).then_some(())
    });
    until("its pod can be spoken to", TWO_MINUTES, || {
        let kubectl = server.kubectl();
        let said = run::output(&mut kubectl.command(&["exec", "p", "--", "echo", "here"]));
        (said.stdout == b"here\n").then_some(())
    });
    assert_eq!(
        server.kubectl().ok(&["get", "pod", "p", "-o", restarts]),
        "0"
    );
}

fn has_ended(certificate: &Path) -> bool {
    let mut openssl = std::process::Command::new("openssl");
    openssl.args(["x509", "-noout", "-checkend", "0", "-in"]);
    !run::output(openssl.arg(certificate)).status.success()
}

/// The pod's log and a command in it, by way of its kubelet.
#[track_caller]
fn speaks(server: &Skiff<'_>) {
    let kubectl = server.kubectl();
    assert_eq!(kubectl.ok(&["logs", "p"]), "heard\n");
    assert_eq!(kubectl.ok(&["exec", "p", "--", "echo", "here"]), "here\n");
}

#[test]
fn logs_and_exec_reach_a_node_that_can_only_dial_out() {
    if !need::met(PROGRAMS) {
        return;
    }
    let mut network = Network::new();
    let (first, second) = (network.machine(), network.machine());
    let server = Skiff::server(&first, &[]);
    // Nothing that the machine did not ask for gets in.
    let rules = "table inet outward { chain in { type filter hook input priority -10; policy accept; \
                 iifname eth0 ct state established,related accept; iifname eth0 meta l4proto tcp drop; }; }";
    let mut nft = second.command("nft");
    run::ok(nft.arg(rules));
    let agent = Skiff::agent(&second, "worker", &first, &token(&server));
    server.wait_ready("worker");
    run_pod(&server, &agent, "worker");
    let mut dial = first.command("busybox");
    dial.args(["nc", "-w", "2", &second.ip.to_string(), "10250"]);
    assert!(
        !run::output(dial.stdin(std::process::Stdio::null()))
            .status
            .success()
    );

    until("the tunnel is open", TWO_MINUTES, || {
        let kubectl = server.kubectl();
        let logs = run::output(&mut kubectl.command(&["logs", "p", "--request-timeout=5s"]));
        (logs.stdout == b"heard\n").then_some(())
    });
    speaks(&server);
    // More than what is on its way at once, so that the windows open again.
    let much = "head -c 5000000 /dev/zero | tr '\\0' x";
    let came = server.kubectl().ok(&["exec", "p", "--", "sh", "-c", much]);
    assert_eq!(came.len(), 5_000_000);
    let summary = "/api/v1/nodes/worker/proxy/stats/summary";
    assert!(
        server
            .kubectl()
            .ok(&["get", "--raw", summary])
            .contains("worker")
    );
}

/// When the node last said that it lives.
fn heartbeat(server: &Skiff<'_>) -> Option<String> {
    let lease = server
        .kubectl()
        .get(&["lease", "-n", "kube-node-lease", "worker"]);
    lease["spec"]["renewTime"].as_str().map(str::to_owned)
}

/// Waits until the node has said so again.
#[track_caller]
fn wait_for_heartbeat(server: &Skiff<'_>) {
    let before = heartbeat(server);
    until("the node says that it lives", TWO_MINUTES, || {
        let now = heartbeat(server);
        (now.is_some() && now != before).then_some(())
    });
}

#[test]
fn an_agent_knows_all_servers_and_does_without_the_one_it_was_told() {
    if !need::met(PROGRAMS) || !need::met(&["etcd"]) {
        return;
    }
    let mut network = Network::new();
    let (first, second, third) = (network.machine(), network.machine(), network.machine());
    let etcd = Etcd::on(&first);
    let flags = ["--datastore-endpoints", etcd.url.as_str()];
    let mut a = Skiff::server(&first, &flags);
    let b = Skiff::server_beside(&a, &second, &flags);
    let mut agent = Skiff::agent(&third, "worker", &first, &token(&a));
    a.wait_ready("worker");
    run_pod(&a, &agent, "worker");
    let known = format!("{}:6443\n{}:6443", first.ip, second.ip);
    until("the agent knows both servers", TWO_MINUTES, || {
        let servers = std::fs::read_to_string(agent.dir.join("servers"));
        (servers.ok().as_deref() == Some(known.as_str())).then_some(())
    });
    speaks(&a);
    speaks(&b);

    a.kill();
    wait_for_heartbeat(&b);
    wait_for_heartbeat(&b);
    speaks(&b);
    // What it was told is still gone when it starts again.
    agent.kill();
    agent.start();
    wait_for_heartbeat(&b);
    until("the pod can be spoken to", TWO_MINUTES, || {
        let kubectl = b.kubectl();
        let said = run::output(&mut kubectl.command(&["exec", "p", "--", "echo", "here"]));
        (said.stdout == b"here\n").then_some(())
    });
}

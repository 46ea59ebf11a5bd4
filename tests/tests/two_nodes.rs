//! Two machines, one cluster.

use std::time::Duration;

use e2e::{Network, Skiff, image, need, run, until};
use serde_json::{Value, json};

const PROGRAMS: &[&str] = &["kubectl", "skopeo", "umoci", "busybox", "nsenter"];
const A_MINUTE: Duration = Duration::from_secs(60);
const TWO_MINUTES: Duration = Duration::from_secs(120);

fn web() -> Value {
    let serve = "mkdir /www; hostname > /www/index.html; echo serving; exec httpd -f -p 80 -h /www";
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" }, "spec": {
        "replicas": 4, "selector": { "matchLabels": { "app": "web" } },
        "template": { "metadata": { "labels": { "app": "web" } }, "spec": {
            "terminationGracePeriodSeconds": 0,
            "tolerations": [
                { "key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1 },
                { "key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1 }],
            "containers": [{ "name": "c", "image": "docker.io/library/busybox:1", "imagePullPolicy": "Never",
                "command": ["sh", "-c", serve] }] } } } })
}

fn items(list: &Value) -> Vec<Value> {
    list["items"].as_array().cloned().unwrap_or_default()
}

#[test]
fn second_machine_joins_by_token_shares_the_work_and_is_replaced_when_cut_off() {
    if !need::met(PROGRAMS) {
        return;
    }
    let mut network = Network::new();
    let (first, second) = (network.machine(), network.machine());
    let busybox = image::busybox().display().to_string();
    // Longer than the ten seconds between a node's signs of life.
    let server = Skiff::up(&first, &["--node-monitor-grace-period", "15s"]);
    run::ok(&mut server.command(&["image", "import", &busybox]));
    let token = run::ok(&mut server.command(&["token", "create"]));
    let agent = Skiff::agent(&second, "second", &first, token.trim());
    server.wait_ready("second");
    run::ok(&mut agent.command(&["image", "import", &busybox]));

    let kubectl = server.kubectl();
    kubectl.apply(&web());
    kubectl.ok(&["expose", "deployment", "web", "--port=80"]);
    kubectl.wait(&["deployment", "web"], A_MINUTE, |d| {
        d["status"]["readyReplicas"] == 4
    });
    let pods = items(&kubectl.get(&["pods", "-l", "app=web"]));
    let on = |node: &str| pods.iter().find(|p| p["spec"]["nodeName"] == node).cloned();
    let (here, there) = (
        on("node").expect("a pod is on the first"),
        on("second").expect("a pod is on the second"),
    );

    reaches(&server, &here, &there);
    reaches(&server, &there, &here);
    service_answers_from_both(&server, &[&here, &there]);
    let name = there["metadata"]["name"]
        .as_str()
        .expect("the pod has a name");
    assert_eq!(kubectl.ok(&["logs", name]), "serving\n");
    assert_eq!(kubectl.ok(&["exec", name, "--", "hostname"]).trim(), name);

    network.unplug(&second);
    kubectl.wait(&["node", "second"], TWO_MINUTES, |node| {
        let conditions = node["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        conditions
            .iter()
            .any(|c| c["type"] == "Ready" && c["status"] == "Unknown")
    });
    kubectl.wait(&["pods", "-l", "app=web"], TWO_MINUTES, |pods| {
        let ready = items(pods)
            .into_iter()
            .filter(|p| p["spec"]["nodeName"] == "node" && e2e::kubectl::is_ready(p));
        ready.count() == 4
    });
    network.plug_in(&second);
    server.wait_ready("second");
}

/// What answers HTTP at an address, asked from a pod. (The wget of a static
/// busybox cannot do without the C library's name service.)
fn asked_from(server: &Skiff<'_>, pod: &Value, address: &str) -> String {
    let name = pod["metadata"]["name"]
        .as_str()
        .expect("the pod has a name");
    let ask = format!("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 {address} 80 | tail -1");
    let answer = run::output(
        &mut server
            .kubectl()
            .command(&["exec", name, "--", "sh", "-c", &ask]),
    );
    String::from_utf8_lossy(&answer.stdout).trim().to_owned()
}

/// Pod to pod, by address.
#[track_caller]
fn reaches(server: &Skiff<'_>, from: &Value, to: &Value) {
    let ip = to["status"]["podIP"]
        .as_str()
        .expect("the pod has an address");
    assert_eq!(
        asked_from(server, from, ip),
        to["metadata"]["name"].as_str().unwrap_or_default()
    );
}

fn service_answers_from_both(server: &Skiff<'_>, pods: &[&Value]) {
    let service = server.kubectl().get(&["service", "web"]);
    let ip = service["spec"]["clusterIP"]
        .as_str()
        .expect("the Service has an address");
    for pod in pods {
        let name = pod["metadata"]["name"]
            .as_str()
            .expect("the pod has a name");
        let found = server.kubectl().ok(&[
            "exec",
            name,
            "--",
            "nslookup",
            "web.default.svc.cluster.local",
        ]);
        assert!(found.contains(ip), "{found}");
        until("the Service answers", A_MINUTE, || {
            asked_from(server, pod, ip)
                .starts_with("web-")
                .then_some(())
        });
    }
}

#[test]
fn token_of_another_cluster_is_refused_before_anything_is_sent() {
    if !need::met(PROGRAMS) {
        return;
    }
    let mut network = Network::new();
    let (first, second) = (network.machine(), network.machine());
    let server = Skiff::server(&first, &[]);
    let token = run::ok(&mut server.command(&["token", "create"]));
    let (bearer, _) = token
        .trim()
        .split_once('@')
        .expect("the token pins an authority");
    let forged = format!("{bearer}@sha256:{}", "0".repeat(64));
    let url = format!("https://{}:6443", first.ip);
    let dir = server.dir.with_extension("second");
    let mut agent = second.command(e2e::skiff::binary());
    agent
        .args([
            "agent",
            "--server",
            &url,
            "--token",
            &forged,
            "--node-ip",
            "198.18.0.2",
            "--data-dir",
        ])
        .arg(&dir);
    let said = run::fails(&mut agent);
    let _ = std::fs::remove_dir_all(&dir);
    assert!(said.contains("not the one that the token is for"), "{said}");
}

//! Two machines, one cluster.

use std::time::Duration;

use e2e::{Network, Skiff, image, need, run, until};
use serde_json::{Value, json};

const PROGRAMS: &[&str] = &["kubectl", "skopeo", "umoci", "busybox", "nsenter"];
const A_MINUTE: Duration = Duration::from_secs(60);

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
    let server = Skiff::up(&first, &["--node-monitor-grace-period", "6s"]);
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
    kubectl.wait(&["node", "second"], A_MINUTE, |node| {
        let conditions = node["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        conditions
            .iter()
            .any(|c| c["type"] == "Ready" && c["status"] == "Unknown")
    });
    kubectl.wait(&["pods", "-l", "app=web"], A_MINUTE, |pods| {
        let ready = items(pods)
            .into_iter()
            .filter(|p| p["spec"]["nodeName"] == "node" && e2e::kubectl::is_ready(p));
        ready.count() == 4
    });
    network.plug_in(&second);
    server.wait_ready("second");
}

/// Pod to pod, by address.
fn reaches(server: &Skiff<'_>, from: &Value, to: &Value) {
    let name = from["metadata"]["name"]
        .as_str()
        .expect("the pod has a name");
    let url = format!(
        "http://{}/",
        to["status"]["podIP"]
            .as_str()
            .expect("the pod has an address")
    );
    let page = server
        .kubectl()
        .ok(&["exec", name, "--", "wget", "-qO-", "-T", "5", &url]);
    assert_eq!(page.trim(), to["metadata"]["name"]);
}

fn service_answers_from_both(server: &Skiff<'_>, pods: &[&Value]) {
    for pod in pods {
        let name = pod["metadata"]["name"]
            .as_str()
            .expect("the pod has a name");
        until("the Service answers by name", A_MINUTE, || {
            let get = ["exec", name, "--", "wget", "-qO-", "-T", "5", "http://web/"];
            let answer = run::output(&mut server.kubectl().command(&get));
            answer.stdout.starts_with(b"web-").then_some(())
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

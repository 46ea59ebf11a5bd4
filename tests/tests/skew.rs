//! Servers and agents of different releases.

use std::path::{Path, PathBuf};
use std::time::Duration;

use e2e::stamp::stamped;
use e2e::{Network, Skiff, image, need, run, skiff, until};
use serde_json::{Value, json};

const PROGRAMS: &[&str] = &["kubectl", "skopeo", "umoci", "busybox", "nsenter"];
const TWO_MINUTES: Duration = Duration::from_secs(120);

/// A minor version newer than what is built here.
const NEWER: &str = "v1.38.0+skiff-0.2.0";

/// The build with that release; its file goes with this value.
struct Newer(PathBuf);

impl Newer {
    fn build() -> Self {
        e2e::sweep::once();
        let path = skiff::new_dir().with_extension("newer");
        let dir = path.parent().expect("it is in the test's directory");
        std::fs::create_dir_all(dir).expect("create the test's directory");
        stamped(&skiff::binary(), NEWER, &path);
        let said = run::ok(std::process::Command::new(&path).arg("--version"));
        assert_eq!(said, "skiff 0.2.0\n");
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Newer {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
        let _ = self.0.parent().map(std::fs::remove_dir);
    }
}

fn pod() -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web" }, "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [{ "name": "c", "image": "docker.io/library/busybox:1", "imagePullPolicy": "Never",
            "command": ["sh", "-c", "echo serving; exec sleep 3600"] }] } })
}

#[test]
fn an_agent_one_minor_older_than_its_server_runs_pods_with_logs_and_exec() {
    if !need::met(PROGRAMS) {
        return;
    }
    let newer = Newer::build();
    let mut network = Network::new();
    let (first, second) = (network.machine(), network.machine());
    let server = Skiff::server_of(newer.path(), &first, &[]);
    let token = run::ok(&mut server.command(&["token", "create"]));
    let agent = Skiff::agent(&second, "older", &first, token.trim());
    server.wait_ready("older");
    let busybox = image::busybox().display().to_string();
    run::ok(&mut agent.command(&["image", "import", &busybox]));

    let kubectl = server.kubectl();
    let version: Value = serde_json::from_str(&kubectl.ok(&["get", "--raw", "/version"]))
        .expect("the version is JSON");
    assert_eq!(version["minor"], "38");
    let node = kubectl.get(&["node", "older"]);
    let kubelet = node["status"]["nodeInfo"]["kubeletVersion"].as_str();
    let kubelet = kubelet.expect("a node tells its version");
    assert!(
        kubelet.starts_with("v1.37.") && NEWER != kubelet,
        "{kubelet}"
    );

    kubectl.apply(&pod());
    kubectl.wait_ready("web");
    assert_eq!(kubectl.ok(&["logs", "web"]), "serving\n");
    assert_eq!(kubectl.ok(&["exec", "web", "--", "hostname"]), "web\n");
}

#[test]
fn an_agent_newer_than_its_server_is_refused_until_the_server_is_upgraded() {
    if !need::met(PROGRAMS) {
        return;
    }
    let newer = Newer::build();
    let mut network = Network::new();
    let (first, second) = (network.machine(), network.machine());
    let mut server = Skiff::server(&first, &[]);
    let token = run::ok(&mut server.command(&["token", "create"]));
    let mut agent = Skiff::agent_of(newer.path(), &second, "newer", &first, token.trim());
    let refusal = until("the agent ends", TWO_MINUTES, || {
        agent.has_ended().then(|| agent.log())
    });
    for name in ["skiff 0.2.0", "v1.38.0", "skiff 0.1.0", "v1.37.0"] {
        assert!(refusal.contains(name), "{refusal}");
    }
    let nodes = server.kubectl().get(&["nodes"]);
    assert_eq!(nodes["items"], json!([]), "it has not become a node");

    server.stop();
    server.replace_program(newer.path());
    server.start();
    server.wait_api();
    agent.start();
    server.wait_ready("newer");
}

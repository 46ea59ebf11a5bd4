//! Services as they are reached from outside the cluster.

use std::time::Duration;

use e2e::{Machine, Skiff, image, need, run, until};
use serde_json::{Value, json};

const PROGRAMS: &[&str] = &["kubectl", "skopeo", "umoci", "busybox", "curl", "nsenter"];
const A_MINUTE: Duration = Duration::from_secs(60);

fn web() -> Value {
    let serve = "mkdir /www; echo served > /www/index.html; exec httpd -f -p 80 -h /www";
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web", "labels": { "app": "web" } }, "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [{ "name": "c", "image": "docker.io/library/busybox:1", "imagePullPolicy": "Never",
            "command": ["sh", "-c", serve] }] } })
}

#[test]
fn balanced_service_answers_at_the_nodes_address_on_its_own_port() {
    if !need::met(PROGRAMS) {
        return;
    }
    let (_network, machine) = Machine::alone();
    let skiff = Skiff::up(&machine, &[]);
    run::ok(&mut skiff.command(&["image", "import", &image::busybox().display().to_string()]));
    let kubectl = skiff.kubectl();
    kubectl.apply(&web());
    kubectl.wait_ready("web");
    let expose = ["--port=8080", "--target-port=80", "--type=LoadBalancer"];
    kubectl.ok(&[&["expose", "pod", "web"], &expose[..]].concat());
    let ip = machine.ip.to_string();
    kubectl.wait(&["service", "web"], A_MINUTE, |service| {
        service["status"]["loadBalancer"]["ingress"][0]["ip"] == ip
    });
    let url = format!("http://{ip}:8080/");
    let ask = || run::output(machine.command("curl").args(["-s", "-m", "2", &url]));
    until("an answer", A_MINUTE, || {
        (ask().stdout == b"served\n").then_some(())
    });
    kubectl.ok(&["delete", "service", "web"]);
    until("nobody to answer", A_MINUTE, || {
        // 7: it could not connect.
        (ask().status.code() == Some(7)).then_some(())
    });
}

//! Real images from a real registry, run by the real kubectl.

use std::time::Duration;

use e2e::registry::Registry;
use e2e::{Machine, Skiff, image, need, run, until};
use serde_json::{Value, json};

const PROGRAMS: &[&str] = &[
    "kubectl",
    "docker-registry",
    "skopeo",
    "umoci",
    "mmdebstrap",
    "busybox",
    "curl",
    "nsenter",
];
const A_MINUTE: Duration = Duration::from_secs(60);

fn available(deployment: &Value) -> i64 {
    deployment["status"]["availableReplicas"]
        .as_i64()
        .unwrap_or(0)
}

/// A pod that waits, with Debian's own tools.
fn client_pod(image: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "client" }, "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [{ "name": "c", "image": image, "command": ["sleep", "3600"] }] } })
}

#[test]
fn deployment_of_nginx_from_a_registry_does_what_it_does_on_kubernetes() {
    if !need::met(PROGRAMS) {
        return;
    }
    let (_network, machine) = Machine::alone();
    let registry = Registry::start(&machine);
    let one = registry.push("oci-archive", &image::nginx(), "nginx:1");
    let two = registry.push("oci-archive", &image::nginx(), "nginx:2");
    let skiff = Skiff::up(&machine, &[]);
    let kubectl = skiff.kubectl();

    kubectl.ok(&[
        "create",
        "deployment",
        "web",
        &format!("--image={one}"),
        "--replicas=3",
    ]);
    kubectl.wait(&["deployment", "web"], A_MINUTE, |d| available(d) == 3);
    kubectl.ok(&[
        "expose",
        "deployment",
        "web",
        "--port=80",
        "--type=NodePort",
    ]);
    kubectl.apply(&client_pod(&one));
    kubectl.wait_ready("client");

    answers_from_inside_and_outside(&skiff, &machine);
    logs_exec_and_port_forward(&skiff, &machine);
    rolls_out_and_back(&skiff, &one, &two);

    kubectl.ok(&["scale", "deployment", "web", "--replicas=1"]);
    kubectl.wait(&["deployment", "web"], A_MINUTE, |d| {
        d["status"]["replicas"] == 1
    });
    kubectl.ok(&["delete", "service,deployment", "web"]);
    kubectl.wait_gone(&["pods", "-l", "app=web"], A_MINUTE);
}

/// By ClusterIP and DNS name from a pod, by NodePort from the machine.
fn answers_from_inside_and_outside(skiff: &Skiff<'_>, machine: &Machine) {
    let kubectl = skiff.kubectl();
    let service = kubectl.get(&["service", "web"]);
    let ip = service["spec"]["clusterIP"]
        .as_str()
        .expect("the Service has an address");
    let port = service["spec"]["ports"][0]["nodePort"]
        .as_i64()
        .expect("the Service has a node port");
    for host in [ip, "web", "web.default.svc.cluster.local"] {
        let ask =
            format!("exec 3<>/dev/tcp/{host}/80; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3");
        let page = until("the Service answers", A_MINUTE, || {
            let get =
                run::output(&mut kubectl.command(&["exec", "client", "--", "bash", "-c", &ask]));
            get.status.success().then_some(get.stdout)
        });
        assert!(
            String::from_utf8_lossy(&page).contains("Welcome to nginx"),
            "{host}"
        );
    }
    let url = format!("http://{}:{port}/", machine.ip);
    let page = run::ok(machine.command("curl").args(["-sf", "-m", "10", &url]));
    assert!(page.contains("nginx"), "{page}");
}

fn rolls_out_and_back(skiff: &Skiff<'_>, one: &str, two: &str) {
    let kubectl = skiff.kubectl();
    let image_of = || {
        let deployment = kubectl.get(&["deployment", "web"]);
        deployment["spec"]["template"]["spec"]["containers"][0]["image"]
            .as_str()
            .map(str::to_owned)
    };
    kubectl.ok(&["set", "image", "deployment/web", &format!("nginx={two}")]);
    let said = kubectl.ok(&["rollout", "status", "deployment/web", "--timeout=90s"]);
    assert!(said.contains("successfully rolled out"), "{said}");
    assert_eq!(image_of().as_deref(), Some(two));
    let history = kubectl.ok(&["rollout", "history", "deployment/web"]);
    assert!(history.contains("\n2 "), "{history}");

    kubectl.ok(&["rollout", "undo", "deployment/web"]);
    kubectl.ok(&["rollout", "status", "deployment/web", "--timeout=90s"]);
    assert_eq!(image_of().as_deref(), Some(one));
    let sets = kubectl.get(&["replicasets", "-l", "app=web"]);
    assert_eq!(
        sets["items"].as_array().map(Vec::len),
        Some(2),
        "the old ReplicaSet is used again"
    );
}

fn logs_exec_and_port_forward(skiff: &Skiff<'_>, machine: &Machine) {
    let kubectl = skiff.kubectl();
    // nginx logs each request that answers_from_inside_and_outside made.
    let logs = kubectl.ok(&["logs", "-l", "app=web", "--tail=-1", "--prefix"]);
    assert!(
        logs.contains("GET / HTTP/1.0") && logs.contains("[pod/web-"),
        "{logs}"
    );
    let said = kubectl.ok(&[
        "exec",
        "client",
        "--",
        "sh",
        "-c",
        "echo $((6*7)); hostname",
    ]);
    assert_eq!(said, "42\nclient\n");
    let code = run::output(&mut kubectl.command(&["exec", "client", "--", "sh", "-c", "exit 7"]));
    assert_eq!(code.status.code(), Some(7));

    let mut forward = kubectl
        .command(&["port-forward", "service/web", "18080:80"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("kubectl starts");
    let page = until("the forwarded port answers", A_MINUTE, || {
        let mut curl = machine.command("curl");
        let get = run::output(curl.args(["-sf", "-m", "5", "http://127.0.0.1:18080/"]));
        get.status.success().then_some(get.stdout)
    });
    let _ = forward.kill();
    let _ = forward.wait();
    assert!(String::from_utf8_lossy(&page).contains("nginx"));
}

#[test]
fn redis_from_a_registry_keeps_what_another_pod_tells_it() {
    if !need::met(PROGRAMS) {
        return;
    }
    let (_network, machine) = Machine::alone();
    let registry = Registry::start(&machine);
    let redis = registry.push("oci-archive", &image::redis(), "redis:7");
    let skiff = Skiff::up(&machine, &[]);
    let kubectl = skiff.kubectl();
    kubectl.ok(&[
        "create",
        "deployment",
        "db",
        &format!("--image={redis}"),
        "--port=6379",
    ]);
    kubectl.ok(&["expose", "deployment", "db"]);
    kubectl.ok(&[
        "run",
        "cli",
        &format!("--image={redis}"),
        "--command",
        "--",
        "sleep",
        "3600",
    ]);
    kubectl.wait(&["deployment", "db"], A_MINUTE, |d| available(d) == 1);
    kubectl.wait_ready("cli");
    until("redis takes a value", A_MINUTE, || {
        let set = run::output(&mut kubectl.command(&[
            "exec",
            "cli",
            "--",
            "redis-cli",
            "-h",
            "db",
            "set",
            "k",
            "v",
        ]));
        (set.stdout == b"OK\n").then_some(())
    });
    assert_eq!(
        kubectl.ok(&["exec", "cli", "--", "redis-cli", "-h", "db", "get", "k"]),
        "v\n"
    );
}

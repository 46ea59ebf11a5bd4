//! The tutorial, from the first node to the node that is lost.

use e2e::{Kubectl, Machine, image, need, run, until};
use serde_json::{Value, json};

use crate::cluster::{Cluster, get, wait_ready};
use crate::{A_MINUTE, PROGRAMS, THREE_MINUTES};

fn ready_on(pods: &Value) -> Vec<String> {
    let items = pods["items"].as_array().cloned().unwrap_or_default();
    let ready = items.iter().filter(|pod| {
        e2e::kubectl::is_ready(pod) && pod["metadata"]["deletionTimestamp"].is_null()
    });
    ready
        .filter_map(|pod| pod["spec"]["nodeName"].as_str().map(str::to_owned))
        .collect()
}

fn deployment(image: &str) -> Value {
    let soon = |key: &str| json!({ "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1 });
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "nginx-deployment", "labels": { "app": "nginx" } },
        "spec": { "replicas": 2, "selector": { "matchLabels": { "app": "nginx" } },
            "template": { "metadata": { "labels": { "app": "nginx" } }, "spec": {
                "terminationGracePeriodSeconds": 1,
                "tolerations": [soon("node.kubernetes.io/unreachable"), soon("node.kubernetes.io/not-ready")],
                "topologySpreadConstraints": [{ "maxSkew": 1, "topologyKey": "kubernetes.io/hostname",
                    "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": { "matchLabels": { "app": "nginx" } } }],
                "containers": [{ "name": "nginx", "image": image, "ports": [{ "containerPort": 80 }] }] } } } })
}

const THREE_NODES: &str = "\
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
- role: control-plane
  extraPortMappings:
  - containerPort: 30080
    hostPort: 8080
- role: worker
- role: worker
  labels:
    disk: fast
";

#[test]
fn tutorial_that_most_people_learn_with_works_on_a_cluster_of_three() {
    if !need::met(PROGRAMS) {
        return;
    }
    let (_network, machine) = Machine::alone();
    let cluster = Cluster::create(&machine, THREE_NODES);
    let kubectl = cluster.kubectl();
    let nodes = kubectl.ok(&["get", "nodes"]);
    assert_eq!(nodes.matches(" Ready ").count(), 3, "{nodes}");
    assert!(nodes.contains("control-plane"), "{nodes}");
    assert!(
        kubectl
            .ok(&["config", "current-context"])
            .contains(&format!("skiff-{}", cluster.name))
    );
    let fast = kubectl.ok(&["get", "nodes", "-l", "disk=fast", "-o", "name"]);
    assert_eq!(fast.trim(), format!("node/{}", cluster.node("worker2")));
    load_nginx(&cluster);

    pods_come_and_go(&kubectl);
    deployment_from_a_command_answers_everywhere(&cluster, &kubectl);
    deployment_from_a_file_is_updated_rolled_back_and_scaled(&kubectl);
    pods_of_a_stopped_node_are_brought_back_elsewhere(&cluster, &kubectl);
}

fn load_nginx(cluster: &Cluster<'_>) {
    let archive = image::nginx().display().to_string();
    let workers = [cluster.node("worker"), cluster.node("worker2")].join(",");
    for name in [
        "docker.io/library/nginx:latest",
        "docker.io/library/nginx:1.27",
    ] {
        cluster.named(&["load", "image", &archive, "--as", name, "--nodes", &workers]);
    }
}

fn pods_come_and_go(kubectl: &Kubectl<'_>) {
    // What `kubectl run nginx --image=nginx --port=80` asks for, but for the registry.
    kubectl.ok(&[
        "run",
        "nginx",
        "--image=nginx",
        "--port=80",
        "--image-pull-policy=IfNotPresent",
    ]);
    kubectl.wait_ready("nginx");
    kubectl.ok(&["delete", "pod", "nginx", "--grace-period=1"]);
    kubectl.wait_gone(&["pod", "nginx"], A_MINUTE);
    kubectl.apply(&json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "from-manifest" }, "spec": {
        "terminationGracePeriodSeconds": 1,
        "containers": [{ "name": "nginx", "image": "nginx:1.27", "ports": [{ "containerPort": 80 }] }] } }));
    kubectl.wait_ready("from-manifest");
    let version = kubectl.ok(&["exec", "from-manifest", "--", "sh", "-c", "nginx -v 2>&1"]);
    assert!(version.contains("nginx"), "{version}");
    kubectl.ok(&["delete", "pod", "from-manifest"]);
}

fn deployment_from_a_command_answers_everywhere(cluster: &Cluster<'_>, kubectl: &Kubectl<'_>) {
    kubectl.ok(&[
        "create",
        "deployment",
        "web",
        "--image=nginx:1.27",
        "--replicas=2",
    ]);
    kubectl.wait(&["deployment", "web"], A_MINUTE, |d| {
        d["status"]["readyReplicas"] == 2
    });
    kubectl.apply(&json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web" }, "spec": {
        "type": "NodePort", "selector": { "app": "web" }, "ports": [{ "port": 80, "nodePort": 30080 }] } }));
    // From this machine, through the control plane's port.
    until("the Service answers this machine", A_MINUTE, || {
        get(cluster.machine, 8080)
            .contains("Welcome to nginx")
            .then_some(())
    });
    // And from the pods of every node, by name.
    let ask = "exec 3<>/dev/tcp/web/80 && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3";
    for pod in kubectl.get(&["pods", "-l", "app=web"])["items"]
        .as_array()
        .expect("a list")
    {
        let name = pod["metadata"]["name"].as_str().expect("a pod has a name");
        until("the Service answers a pod", A_MINUTE, || {
            let answer =
                run::output(&mut kubectl.command(&["exec", name, "--", "bash", "-c", ask]));
            String::from_utf8_lossy(&answer.stdout)
                .contains("Welcome to nginx")
                .then_some(())
        });
    }
    kubectl.ok(&["delete", "deployment,service", "web"]);
}

fn deployment_from_a_file_is_updated_rolled_back_and_scaled(kubectl: &Kubectl<'_>) {
    let rolled_out = || {
        kubectl.ok(&[
            "rollout",
            "status",
            "deployment/nginx-deployment",
            "--timeout=60s",
        ])
    };
    let image = || {
        kubectl.get(&["deployment", "nginx-deployment"])["spec"]["template"]["spec"]["containers"]
            [0]["image"]
            .clone()
    };
    kubectl.apply(&deployment("nginx:1.27"));
    rolled_out();
    kubectl.ok(&[
        "set",
        "image",
        "deployment/nginx-deployment",
        "nginx=docker.io/library/nginx:1.27",
    ]);
    rolled_out();
    assert_eq!(image(), "docker.io/library/nginx:1.27");
    kubectl.ok(&["rollout", "undo", "deployment/nginx-deployment"]);
    rolled_out();
    assert_eq!(image(), "nginx:1.27");
    kubectl.ok(&["scale", "deployment/nginx-deployment", "--replicas=4"]);
    kubectl.wait(&["deployment", "nginx-deployment"], A_MINUTE, |d| {
        d["status"]["readyReplicas"] == 4
    });
}

fn pods_of_a_stopped_node_are_brought_back_elsewhere(cluster: &Cluster<'_>, kubectl: &Kubectl<'_>) {
    let (first, second) = (cluster.node("worker"), cluster.node("worker2"));
    let pods = ["pods", "-l", "app=nginx"];
    let before = ready_on(&kubectl.get(&pods));
    assert!(
        before.contains(&first) && before.contains(&second),
        "{before:?}"
    );
    cluster.ok(&["node", "stop", &second]);
    let listed = cluster.ok(&["list"]);
    assert!(
        listed
            .lines()
            .any(|line| line.contains(&second) && line.contains("stopped")),
        "{listed}"
    );
    kubectl.wait(&pods, THREE_MINUTES, |pods| {
        let on = ready_on(pods);
        on.len() == 4 && on.iter().all(|node| *node == first)
    });
    cluster.ok(&["node", "start", &second]);
    wait_ready(kubectl, &second);
}

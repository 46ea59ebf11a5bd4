//! A cluster's beginning, pauses, ends, and what is left of it: nothing.

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use e2e::{Kubectl, Machine, Network, image, need, run, until};
use serde_json::{Value, json};

use crate::cluster::{Cluster, groups, mounts_with, processes_in, traces, wait_ready};
use crate::{A_MINUTE, PROGRAMS, THREE_MINUTES};

#[test]
fn cluster_survives_the_end_of_its_machine_and_leaves_nothing_when_deleted() {
    if !need::met(PROGRAMS) {
        return;
    }
    let mut network = Network::new();
    let machine = network.machine();
    let before = traces(&machine);
    let shared = e2e::skiff::new_dir().with_extension("shared");
    std::fs::create_dir_all(&shared).expect("make a directory");
    std::fs::write(shared.join("file"), "of the machine\n").expect("write a file");
    let cluster = Cluster::create(&machine, &two_nodes(&shared));
    let (kubectl, worker) = (cluster.kubectl(), cluster.node("worker"));
    assert_eq!(traces(&machine), before, "a cluster's network is its own");
    let busybox = image::busybox().display().to_string();
    load_by_name(&cluster, &busybox);
    kubectl.apply(&sleeper());
    kubectl.wait_ready("sleeper");
    let read = kubectl.ok(&["exec", "sleeper", "--", "cat", "/shared/file"]);
    assert_eq!(read, "of the machine\n");
    pods_reach_the_world_outside(&machine, &kubectl);

    cluster.ok(&["node", "pause", &worker]);
    let refused = run::fails(&mut cluster.command(&["node", "pause", &worker]));
    assert!(refused.contains("paused already"), "{refused}");
    assert!(cluster.ok(&["list"]).contains("paused"));
    cluster.ok(&["node", "unpause", &worker]);
    assert_eq!(
        kubectl.ok(&["exec", "sleeper", "--", "hostname"]).trim(),
        "sleeper"
    );

    let config = cluster.named(&["kubeconfig"]);
    // As the end of power would: nothing is told, nothing is tidied up.
    switch_off(&cluster);
    cluster.named(&["start"]);
    assert_eq!(
        cluster.named(&["kubeconfig"]),
        config,
        "ports and keys are those of before"
    );
    wait_ready(&kubectl, &worker);
    kubectl.wait(&["pod", "sleeper"], THREE_MINUTES, |pod| {
        e2e::kubectl::is_ready(pod) && pod["status"]["containerStatuses"][0]["restartCount"] == 1
    });

    cluster.named(&["stop"]);
    assert!(cluster.ok(&["list"]).contains("stopped"));
    cluster.named(&["start"]);
    wait_ready(&kubectl, &worker);
    cluster.named(&["delete"]);
    nothing_is_left(&cluster, &before);
    let read = std::fs::read_to_string(shared.join("file")).expect("the machine's file stays");
    assert_eq!(read, "of the machine\n");
    std::fs::remove_dir_all(shared).expect("remove a directory");
}

/// Into the nodes by its name, from what a skiff of the machine itself has.
fn load_by_name(cluster: &Cluster<'_>, archive: &str) {
    let own = cluster.dir.join("own").display().to_string();
    let mut import = cluster.machine.command(e2e::skiff::binary());
    run::ok(import.args(["image", "import", "--data-dir", &own, archive]));
    let loaded = cluster.named(&["load", "image", "busybox:1", "--from-data-dir", &own]);
    assert_eq!(loaded.trim(), "docker.io/library/busybox:1");
    let unknown = ["load", "image", "nobody:1", "--name", &cluster.name];
    let refused = run::fails(&mut cluster.command(&unknown));
    assert!(refused.contains("neither a file nor an image"), "{refused}");
}

fn two_nodes(shared: &Path) -> String {
    let shared = shared.display();
    format!(
        "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n- role: control-plane\n- role: worker\n  \
         extraMounts: [{{hostPath: {shared}, containerPath: /shared, readOnly: true}}]\n"
    )
}

/// The machine has an address that no node has a route to.
fn pods_reach_the_world_outside(machine: &Machine, kubectl: &Kubectl<'_>) {
    let mut heard = String::new();
    machine.enter(|| {
        let server = TcpListener::bind((machine.ip, 0)).expect("listen on the machine");
        let port = server.local_addr().expect("it has an address").port();
        server.set_nonblocking(true).expect("change a socket");
        let ask = format!("nc -w 30 {} {port}", machine.ip);
        let mut ask = kubectl.command(&["exec", "sleeper", "--", "sh", "-c", &ask]);
        let asking = ask.stdout(Stdio::piped()).spawn().expect("run kubectl");
        let mut client = until("a pod connects", A_MINUTE, || server.accept().ok()).0;
        client.write_all(b"outside\n").expect("answer the pod");
        drop(client);
        let output = asking.wait_with_output().expect("wait for kubectl");
        heard = String::from_utf8_lossy(&output.stdout).into_owned();
    });
    assert_eq!(heard, "outside\n");
}

fn sleeper() -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "sleeper" }, "spec": {
        "terminationGracePeriodSeconds": 1,
        "containers": [{ "name": "c", "image": "docker.io/library/busybox:1", "imagePullPolicy": "Never",
            "command": ["sleep", "100000"], "volumeMounts": [{ "name": "shared", "mountPath": "/shared" }] }],
        "volumes": [{ "name": "shared", "hostPath": { "path": "/shared", "type": "Directory" } }] } })
}

fn switch_off(cluster: &Cluster<'_>) {
    let supervisors = cluster.supervisors();
    assert_eq!(supervisors.len(), 1, "{supervisors:?}");
    let pid = nix::unistd::Pid::from_raw(supervisors[0]);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("kill the supervisor");
    until(
        "the nodes end with the process that runs them",
        A_MINUTE,
        || processes_in(cluster).is_empty().then_some(()),
    );
}

#[track_caller]
fn nothing_is_left(cluster: &Cluster<'_>, before: &str) {
    assert_eq!(traces(cluster.machine), before);
    assert_eq!(processes_in(cluster), Vec::<i32>::new());
    assert_eq!(
        groups(&format!("skiff-cluster-{}-", cluster.name)),
        Vec::<PathBuf>::new()
    );
    let dir = cluster.dir.join(&cluster.name);
    assert_eq!(
        mounts_with(&dir.display().to_string()),
        Vec::<String>::new()
    );
    assert!(!dir.exists(), "{} is still there", dir.display());
    let config = std::fs::read_to_string(cluster.kubeconfig()).expect("read the kubeconfig");
    assert!(!config.contains(&cluster.name), "{config}");
}

#[test]
fn configuration_that_cannot_be_had_is_refused_before_anything_is_made() {
    if !need::met(&["nsenter"]) {
        return;
    }
    let dir = e2e::skiff::new_dir().with_extension("refused");
    let config = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnetworking: {disableDefaultCNI: true}\n";
    let mut create = Command::new(e2e::skiff::binary());
    create
        .args(["cluster", "create", "--config", "-", "--clusters-dir"])
        .arg(&dir);
    create.env("KUBECONFIG", dir.join("kubeconfig"));
    create.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = create.spawn().expect("run skiff");
    let mut stdin = child.stdin.take().expect("its stdin is piped");
    stdin
        .write_all(config.as_bytes())
        .expect("write the configuration");
    drop(stdin);
    let output = child.wait_with_output().expect("wait for skiff");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("disableDefaultCNI"), "{said}");
    assert!(!dir.exists());
}

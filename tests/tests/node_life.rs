//! A node's life: objects from files, drained and back, and the end of its machine.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use e2e::{Kubectl, Machine, Skiff, image, need, run, until};
use serde_json::{Value, json};

const PROGRAMS: &[&str] = &["kubectl", "skopeo", "umoci", "busybox", "nsenter", "tar"];
const TWO_MINUTES: Duration = Duration::from_secs(120);

fn import_busybox(skiff: &Skiff<'_>) {
    let busybox = image::busybox().display().to_string();
    run::ok(&mut skiff.command(&["image", "import", &busybox]));
}

fn container(script: &str) -> Value {
    json!({ "name": "c", "image": "docker.io/library/busybox:1", "imagePullPolicy": "Never",
        "command": ["sh", "-c", script] })
}

/// A Deployment of one pod, and a budget that lets none go.
fn guarded() -> String {
    let labels = json!({ "app": "web" });
    let deployment = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" }, "spec": {
        "selector": { "matchLabels": labels }, "template": { "metadata": { "labels": labels },
            "spec": { "terminationGracePeriodSeconds": 0, "containers": [container("sleep 3600")] } } } });
    let budget = json!({ "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": { "name": "all" },
        "spec": { "minAvailable": 1, "selector": { "matchLabels": labels } } });
    format!("{deployment}\n---\n{budget}\n")
}

#[test]
fn objects_come_and_go_with_their_files_and_a_drain_keeps_to_budgets() {
    if !need::met(PROGRAMS) {
        return;
    }
    let files = tempfile::tempdir().expect("make a directory");
    let (_network, machine) = Machine::alone();
    let skiff = Skiff::up(
        &machine,
        &["--manifests", &files.path().display().to_string()],
    );
    import_busybox(&skiff);
    let kubectl = skiff.kubectl();

    fs::write(files.path().join("bad.yaml"), "kind: [").expect("write a manifest");
    fs::write(files.path().join("web.yaml"), guarded()).expect("write a manifest");
    kubectl.wait(&["deployment", "web"], TWO_MINUTES, |d| {
        d["status"]["readyReplicas"] == 1
    });
    kubectl.wait(&["pdb", "all"], TWO_MINUTES, |b| {
        b["status"]["currentHealthy"] == 1
    });
    until("the bad file is told of", TWO_MINUTES, || {
        let told = kubectl.ok(&["get", "events", "-n", "kube-system"]);
        (told.contains("ApplyFailed") && told.contains("bad.yaml")).then_some(())
    });
    why_tells_the_pods_life(&skiff, &kubectl);

    let refused = run::fails(&mut skiff.command(&["drain", "node", "--timeout", "2s"]));
    assert!(refused.contains("disruption budget"), "{refused}");
    assert!(refused.contains("global timeout reached"), "{refused}");
    run::ok(&mut skiff.command(&["uncordon", "node"]));

    fs::remove_file(files.path().join("web.yaml")).expect("remove the manifest");
    kubectl.wait_gone(&["deployment", "web"], TWO_MINUTES);
    kubectl.wait_gone(&["pdb", "all"], TWO_MINUTES);
    kubectl.wait_gone(&["pods", "-l", "app=web"], TWO_MINUTES);
    a_lone_pod_is_drained_only_by_force(&skiff, &kubectl);
    a_bundle_has_no_secrets(&skiff, &kubectl, files.path());
}

fn why_tells_the_pods_life(skiff: &Skiff<'_>, kubectl: &Kubectl<'_>) {
    let pods = kubectl.get(&["pods", "-l", "app=web"]);
    let name = pods["items"][0]["metadata"]["name"]
        .as_str()
        .expect("there is a pod");
    let pod = format!("pod/{name}");
    until("why tells all of the pod's life", TWO_MINUTES, || {
        let told = run::ok(&mut skiff.command(&["why", &pod]));
        let stages = [
            "created",
            "scheduled",
            "sandbox and volumes made",
            "container started",
            "ready",
        ];
        let mut rest = told.as_str();
        for stage in stages {
            rest = &rest[rest.find(&format!("   {stage}"))?..];
        }
        told.contains("PodDisruptionBudget all forbids")
            .then_some(())
    });
}

fn a_lone_pod_is_drained_only_by_force(skiff: &Skiff<'_>, kubectl: &Kubectl<'_>) {
    kubectl.apply(
        &json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "lone" },
        "spec": { "terminationGracePeriodSeconds": 0, "containers": [container("sleep 3600")] } }),
    );
    kubectl.wait_ready("lone");
    let refused = run::fails(&mut skiff.command(&["drain", "node"]));
    assert!(
        refused.contains("declare no controller (use --force to override): default/lone"),
        "{refused}"
    );
    let drained = run::ok(&mut skiff.command(&["drain", "node", "--force"]));
    assert!(drained.contains("pod/lone evicted\n"), "{drained}");
    assert!(drained.ends_with("node/node drained\n"), "{drained}");
    kubectl.wait_gone(&["pod", "lone"], TWO_MINUTES);
    assert_eq!(
        run::ok(&mut skiff.command(&["uncordon", "node"])),
        "node/node uncordoned\n"
    );
}

fn a_bundle_has_no_secrets(skiff: &Skiff<'_>, kubectl: &Kubectl<'_>, dir: &Path) {
    kubectl.ok(&[
        "create",
        "secret",
        "generic",
        "s",
        "--from-literal=word=hunter2-x",
    ]);
    let bundle = dir.join("bundle.tar.gz");
    let bundle = bundle.display().to_string();
    let listed = run::ok(&mut skiff.command(&["support-bundle", "-o", &bundle]));
    for part in [
        "objects/core/secrets.json",
        "objects/core/events.json",
        "cluster/metrics.txt",
        "host/mounts",
    ] {
        assert!(listed.contains(part), "{part} is not in\n{listed}");
    }
    let mode = fs::metadata(&bundle)
        .expect("the bundle is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let content = std::process::Command::new("tar")
        .args(["-xzOf", &bundle])
        .output();
    let content = content.expect("tar runs").stdout;
    let text = String::from_utf8_lossy(&content);
    assert!(text.contains("\"word\""), "the Secret's names are there");
    for secret in ["hunter2-x", "aHVudGVyMi14", "PRIVATE KEY"] {
        assert!(!text.contains(secret), "{secret} is in the bundle");
    }
}

/// A pod that tells of its starts, and of its end as it is told to end.
fn talker(name: &str, namespace: &str, priority: &str, before_end: &str, dir: &Path) -> Value {
    let script = format!(
        "trap '{before_end} echo {name} >> /out/ends; exit 0' TERM; echo {name} >> /out/starts; \
         while true; do sleep 0.1; done"
    );
    let mut container = container(&script);
    container["volumeMounts"] = json!([{ "name": "out", "mountPath": "/out" }]);
    let mut spec = json!({ "terminationGracePeriodSeconds": 60, "containers": [container],
        "volumes": [{ "name": "out", "hostPath": { "path": dir } }] });
    if !priority.is_empty() {
        spec["priorityClassName"] = json!(priority);
    }
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": namespace }, "spec": spec })
}

#[test]
fn pods_end_in_order_with_their_machine_and_are_back_once_with_it() {
    if !need::met(PROGRAMS) {
        return;
    }
    let dir = tempfile::tempdir().expect("make a directory");
    let (out, bin) = (dir.path().join("out"), dir.path().join("bin"));
    fs::create_dir(&out).expect("make a directory");
    fs::create_dir(&bin).expect("make a directory");
    let (_network, machine) = Machine::alone();
    let mut skiff = Skiff::up(&machine, &["--shutdown-grace-period", "60s"]);
    import_busybox(&skiff);
    let kubectl = skiff.kubectl();
    kubectl.apply(&talker(
        "critical",
        "kube-system",
        "system-node-critical",
        "",
        &out,
    ));
    kubectl.apply(&talker("plain", "default", "", "sleep 1;", &out));
    let lines = |file: &str| {
        let text = fs::read_to_string(out.join(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    until("both run", TWO_MINUTES, || {
        (lines("starts").len() == 2).then_some(())
    });

    // What systemd says when the machine goes down.
    let systemctl = bin.join("systemctl");
    fs::write(&systemctl, "#!/bin/sh\necho stopping\nexit 1\n").expect("write a script");
    fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).expect("make it a program");
    skiff.stop();
    skiff.find_programs_in(Some(&bin));
    skiff.start();
    skiff.wait_api();
    skiff.wait_ready("node");
    assert_eq!(
        lines("ends"),
        Vec::<String>::new(),
        "another skiff ends nothing"
    );
    skiff.stop();
    assert_eq!(lines("ends"), ["plain", "critical"], "{}", skiff.log());

    skiff.find_programs_in(None);
    skiff.start();
    skiff.wait_api();
    until("both run again", TWO_MINUTES, || {
        (lines("starts").len() == 4).then_some(())
    });
    let kubectl = skiff.kubectl();
    let again = |pod: &Value| {
        let status = &pod["status"]["containerStatuses"][0];
        status["ready"] == true && status["restartCount"] == 1
    };
    kubectl.wait(&["pod", "plain"], TWO_MINUTES, again);
    kubectl.wait(
        &["pod", "critical", "-n", "kube-system"],
        TWO_MINUTES,
        again,
    );
    assert_eq!(lines("starts").len(), 4, "each was started once more");
}

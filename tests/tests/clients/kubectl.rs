//! Every command of kubectl that talks to the API server.

use std::time::Duration;

use e2e::{Kubectl, run};
use serde_json::{Value, json};

const A_MINUTE: Duration = Duration::from_secs(60);

pub fn all(kubectl: &Kubectl<'_>, image: &str) {
    asks_what_there_is(kubectl);
    explains(kubectl);
    writes(kubectl);
    edits_and_diffs(kubectl);
    deployment(kubectl, image);
    permissions(kubectl);
    custom_resources(kubectl);
}

#[track_caller]
fn has(said: &str, wanted: &[&str]) {
    for text in wanted {
        assert!(said.contains(text), "no {text:?} in\n{said}");
    }
}

fn asks_what_there_is(kubectl: &Kubectl<'_>) {
    has(
        &kubectl.ok(&["api-versions"]),
        &["apps/v1\n", "v1\n", "apiextensions.k8s.io/v1\n"],
    );
    let resources = kubectl.ok(&["api-resources", "-o", "wide"]);
    has(
        &resources,
        &[
            "deployments",
            "deploy",
            "ConfigMap",
            "customresourcedefinitions",
        ],
    );
    has(
        &kubectl.ok(&["api-resources", "--namespaced=false", "-o", "name"]),
        &["nodes\n"],
    );
    has(&kubectl.ok(&["cluster-info"]), &["is running at"]);
    has(&kubectl.ok(&["version", "-o", "json"]), &["serverVersion"]);
    has(&kubectl.ok(&["get", "all", "-A"]), &["service/kubernetes"]);
    has(
        &kubectl.ok(&["get", "--raw", "/readyz?verbose"]),
        &["readyz check passed"],
    );
    has(
        &kubectl.ok(&["get", "nodes", "-o", "wide"]),
        &["INTERNAL-IP", "Ready"],
    );
}

fn explains(kubectl: &Kubectl<'_>) {
    has(
        &kubectl.ok(&["explain", "pods.spec.containers.image"]),
        &["FIELD: image <string>"],
    );
    has(
        &kubectl.ok(&["explain", "deploy", "--recursive"]),
        &["strategy", "maxSurge"],
    );
    let unknown = kubectl.fails(&["explain", "pods.spec.nothing"]);
    has(&unknown, &["nothing"]);
}

fn writes(kubectl: &Kubectl<'_>) {
    kubectl.ok(&["create", "namespace", "one"]);
    kubectl.ok(&[
        "create",
        "configmap",
        "c",
        "-n",
        "one",
        "--from-literal=a=b",
    ]);
    kubectl.ok(&["label", "configmap", "c", "-n", "one", "x=y"]);
    kubectl.ok(&["annotate", "configmap", "c", "-n", "one", "note=this"]);
    let refused = kubectl.fails(&["label", "configmap", "c", "-n", "one", "x=z"]);
    has(&refused, &["already has a value"]);
    for (kind, patch) in [
        ("merge", r#"{"data":{"merge":"1"}}"#),
        ("strategic", r#"{"data":{"strategic":"1"}}"#),
        ("json", r#"[{"op":"add","path":"/data/json","value":"1"}]"#),
    ] {
        kubectl.ok(&[
            "patch",
            "configmap",
            "c",
            "-n",
            "one",
            "--type",
            kind,
            "-p",
            patch,
        ]);
    }
    let keys = kubectl.ok(&[
        "get",
        "cm",
        "c",
        "-n",
        "one",
        "-o",
        "go-template={{range $k, $v := .data}}{{$k}} {{end}}",
    ]);
    assert_eq!(keys, "a json merge strategic ");
    let columns = "custom-columns=N:.metadata.name,X:.metadata.labels.x";
    has(
        &kubectl.ok(&["get", "cm", "-n", "one", "-l", "x=y", "-o", columns]),
        &["c     y"],
    );
    has(
        &kubectl.ok(&["describe", "cm", "c", "-n", "one"]),
        &["note: this", "merge:"],
    );
    has(
        &kubectl.ok(&["create", "quota", "q", "-n", "one", "--hard=configmaps=9"]),
        &["created"],
    );
    let token = kubectl.ok(&["create", "token", "default", "-n", "one"]);
    assert_eq!(token.matches('.').count(), 2, "{token}");
    kubectl.ok(&["delete", "namespace", "one"]);
    has(&kubectl.fails(&["get", "namespace", "one"]), &["NotFound"]);
}

fn edits_and_diffs(kubectl: &Kubectl<'_>) {
    let service = |port: u16| {
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "e" },
        "spec": { "selector": { "a": "b" }, "ports": [{ "port": port }] } })
    };
    has(&kubectl.apply(&service(80)), &["service/e created"]);
    has(&kubectl.apply(&service(80)), &["service/e unchanged"]);
    let file = std::env::temp_dir().join(format!("diff-{}.json", std::process::id()));
    std::fs::write(&file, service(81).to_string()).expect("write a manifest");
    let path = file.display().to_string();
    let diff = run::output(&mut kubectl.command(&["diff", "-f", &path]));
    has(
        &String::from_utf8_lossy(&diff.stdout),
        &["-  - port: 80", "+  - port: 81"],
    );
    kubectl.ok(&["replace", "-f", &path]);
    has(&kubectl.ok(&["get", "service", "e"]), &["81/TCP"]);
    kubectl.ok(&["apply", "--server-side", "--force-conflicts", "-f", &path]);
    kubectl.ok(&["apply", "--dry-run=server", "-f", &path]);
    let _ = std::fs::remove_file(file);
    let mut edit = kubectl.command(&["edit", "service", "e"]);
    run::ok(edit.env("KUBE_EDITOR", "sed -i s/ort:\\ 81$/ort:\\ 82/"));
    has(&kubectl.ok(&["get", "service", "e"]), &["82/TCP"]);
    kubectl.ok(&["delete", "service", "e"]);
}

fn deployment(kubectl: &Kubectl<'_>, image: &str) {
    kubectl.ok(&[
        "create",
        "deployment",
        "d",
        &format!("--image={image}"),
        "--",
        "sleep",
        "3600",
    ]);
    let never = r#"{"spec":{"template":{"spec":{"terminationGracePeriodSeconds":0,"containers":[{"name":"busybox","imagePullPolicy":"Never"}]}}}}"#;
    kubectl.ok(&["patch", "deployment", "d", "-p", never]);
    kubectl.ok(&["rollout", "status", "deployment/d", "--timeout=60s"]);
    kubectl.ok(&[
        "wait",
        "--for=condition=Available",
        "deployment/d",
        "--timeout=60s",
    ]);
    kubectl.ok(&[
        "wait",
        "--for=jsonpath={.status.readyReplicas}=1",
        "deployment/d",
        "--timeout=60s",
    ]);
    kubectl.ok(&["set", "env", "deployment/d", "A=b"]);
    kubectl.ok(&["set", "resources", "deployment/d", "--requests=cpu=10m"]);
    kubectl.ok(&["rollout", "restart", "deployment/d"]);
    kubectl.ok(&["rollout", "status", "deployment/d", "--timeout=60s"]);
    kubectl.ok(&["autoscale", "deployment", "d", "--min=1", "--max=3"]);
    kubectl.ok(&["scale", "deployment", "d", "--replicas=2"]);
    kubectl.wait(&["deployment", "d"], A_MINUTE, |d| {
        d["status"]["readyReplicas"] == 2
    });
    has(
        &kubectl.ok(&["describe", "deployment", "d"]),
        &["ScalingReplicaSet", "2 available"],
    );
    let described = kubectl.ok(&["describe", "pods", "-l", "app=d"]);
    has(&described, &["Successfully assigned", "Started container"]);
    let sorted = kubectl.ok(&["get", "pods", "--sort-by=.metadata.name", "-o", "name"]);
    assert!(
        sorted.lines().is_sorted() && sorted.contains("pod/d-"),
        "{sorted}"
    );
    let copied = kubectl.ok(&["exec", "deployment/d", "--", "cat", "/etc/hostname"]);
    assert!(copied.starts_with("d-"), "{copied}");
    kubectl.ok(&["delete", "hpa,deployment", "d", "--wait"]);
    // The first of them had half a minute to end.
    kubectl.ok(&[
        "delete",
        "pods",
        "-l",
        "app=d",
        "--force",
        "--grace-period=0",
    ]);
    kubectl.wait_gone(&["pods", "-l", "app=d"], A_MINUTE);
}

fn permissions(kubectl: &Kubectl<'_>) {
    kubectl.ok(&["create", "serviceaccount", "reader"]);
    kubectl.ok(&[
        "create",
        "role",
        "read",
        "--verb=get,list",
        "--resource=pods",
    ]);
    kubectl.ok(&[
        "create",
        "rolebinding",
        "read",
        "--role=read",
        "--serviceaccount=default:reader",
    ]);
    let reader = "--as=system:serviceaccount:default:reader";
    assert_eq!(
        kubectl.ok(&["auth", "can-i", "list", "pods", reader]),
        "yes\n"
    );
    let refused = run::output(&mut kubectl.command(&["auth", "can-i", "delete", "pods", reader]));
    assert_eq!(String::from_utf8_lossy(&refused.stdout), "no\n");
    has(
        &kubectl.ok(&["auth", "can-i", "--list", reader]),
        &["pods", "[get list]"],
    );
    has(
        &kubectl.ok(&["auth", "whoami", "-o", "json", reader]),
        &["system:serviceaccounts:default"],
    );
    has(
        &kubectl.fails(&["get", "secrets", reader]),
        &["Forbidden", "cannot list resource \"secrets\""],
    );
}

fn custom_resources(kubectl: &Kubectl<'_>) {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/crontabs.json");
    let name = "crontabs.clients.example.com";
    kubectl.ok(&["apply", "-f", &file.display().to_string()]);
    kubectl.ok(&[
        "wait",
        "--for=condition=Established",
        &format!("crd/{name}"),
        "--timeout=30s",
    ]);
    let tab = |spec: Value| json!({ "apiVersion": "clients.example.com/v1", "kind": "CronTab", "metadata": { "name": "t" }, "spec": spec });
    kubectl.apply(&tab(json!({ "cronSpec": "* * * * *" })));
    has(
        &kubectl.ok(&["get", "ct"]),
        &["NAME   SPEC        REPLICAS", "t      * * * * *   1"],
    );
    has(
        &kubectl.ok(&["explain", "crontabs.spec.cronSpec"]),
        &["When it runs."],
    );
    kubectl.apply(&tab(json!({ "cronSpec": "* * * * *", "image": "other" })));
    kubectl.ok(&["scale", "ct", "t", "--replicas=3"]);
    kubectl.ok(&[
        "patch",
        "ct",
        "t",
        "--type=merge",
        "-p",
        r#"{"spec":{"maxReplicas":4}}"#,
    ]);
    let refused = kubectl.fails(&["scale", "ct", "t", "--replicas=5"]);
    has(&refused, &["more replicas than may be"]);
    let refused = kubectl.fails(&[
        "patch",
        "ct",
        "t",
        "--type=merge",
        "-p",
        r#"{"spec":{"cronSpec":"x"}}"#,
    ]);
    has(&refused, &["spec.cronSpec"]);
    has(
        &kubectl.ok(&["describe", "ct", "t"]),
        &["Cron Spec:", "other"],
    );
    kubectl.ok(&["delete", "crd", name]);
    // kubectl goes on to believe what it found before, for hours.
    has(&kubectl.fails(&["get", "ct"]), &["NotFound"]);
}

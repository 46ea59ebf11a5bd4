//! The clients that people have, unchanged, against skiff.

mod kube_rs;
mod kubectl;

use std::path::Path;

use e2e::{Machine, Skiff, image, libraries, need, run};

const IMAGE: &str = "docker.io/library/busybox:1";
const PROGRAMS: &[&str] = &["kubectl", "skopeo", "umoci", "busybox", "nsenter"];

/// A cluster of one machine that has [`IMAGE`].
fn cluster(machine: &Machine) -> Skiff<'_> {
    let skiff = Skiff::up(machine, &[]);
    let busybox = image::busybox().display().to_string();
    run::ok(&mut skiff.command(&["image", "import", &busybox]));
    skiff
}

fn script(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("clients")
        .join(name)
}

#[test]
fn python_client_reads_writes_watches_applies_executes_and_extends() {
    if !need::met(&[PROGRAMS, &["python3"]].concat()) {
        return;
    }
    let library = libraries::python();
    let (_network, machine) = Machine::alone();
    let skiff = cluster(&machine);
    let mut python = machine.command("python3");
    python.env("PYTHONPATH", library);
    python.env("KUBECONFIG", skiff.dir.join("admin.kubeconfig"));
    python.arg(script("python_client.py")).arg(IMAGE);
    let said = run::ok(&mut python);
    assert!(said.ends_with("all done\n"), "{said}");
}

#[test]
fn javascript_client_reads_writes_informs_applies_executes_and_extends() {
    if !need::met(&[PROGRAMS, &["node", "npm"]].concat()) {
        return;
    }
    let library = libraries::javascript();
    let (_network, machine) = Machine::alone();
    let skiff = cluster(&machine);
    let mut node = machine.command("node");
    node.env("KUBECONFIG", skiff.dir.join("admin.kubeconfig"));
    node.arg(script("javascript_client.mjs"));
    let said = run::ok(node.arg(library).arg(IMAGE));
    assert!(said.ends_with("all done\n"), "{said}");
}

#[test]
fn kube_with_its_runtime_runs_an_operator() {
    if !need::met(PROGRAMS) {
        return;
    }
    let (_network, machine) = Machine::alone();
    let skiff = cluster(&machine);
    let kubeconfig = skiff.dir.join("admin.kubeconfig");
    machine.enter(|| kube_rs::all(&kubeconfig, IMAGE));
}

#[test]
fn kubectl_does_what_it_does_on_kubernetes() {
    if !need::met(PROGRAMS) {
        return;
    }
    let (_network, machine) = Machine::alone();
    let skiff = cluster(&machine);
    kubectl::all(&skiff.kubectl(), IMAGE);
}

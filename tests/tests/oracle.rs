//! What was recorded from a real Kubernetes, played against skiff.

use std::path::PathBuf;
use std::process::Command;

use e2e::skiff::TOKEN;
use e2e::{Machine, Skiff, image, need, run};

/// Where the recordings and the tools that play them are: beside the checkout.
fn shared() -> Option<PathBuf> {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let shared = manifest.parent()?.parent()?.join("shared");
    let is_there = shared.join("tools/replay.py").exists();
    if !is_there {
        println!("skipped: there are no recordings at {}", shared.display());
    }
    is_there.then_some(shared)
}

fn recordings(shared: &std::path::Path) -> PathBuf {
    shared.join("reference/kubernetes-v1.23.16/recordings")
}

/// The two counts of the closing line `N passed, M failed`.
fn closing_line(output: &str) -> (usize, usize) {
    let line = output.lines().last().unwrap_or_default();
    let counts: Vec<usize> = line
        .split(' ')
        .filter_map(|word| word.parse().ok())
        .collect();
    assert_eq!(counts.len(), 2, "no closing line in:\n{output}");
    (counts[0], counts[1])
}

fn report(name: &str) -> PathBuf {
    let dir = e2e::skiff::binary().with_file_name("reports");
    std::fs::create_dir_all(&dir).expect("create the directory of reports");
    dir.join(name)
}

#[test]
fn recorded_api_conversations_are_answered_as_kubernetes_did() {
    if !need::met(&["python3", "kubectl", "nsenter"]) {
        return;
    }
    let Some(shared) = shared() else { return };
    let (_network, machine) = Machine::alone();
    let _skiff = Skiff::server(&machine, &[]);
    let mut replay: Command = machine.command("python3");
    replay.arg(shared.join("tools/replay.py"));
    replay.args(["--server", "https://127.0.0.1:6443", "--token", TOKEN]);
    replay
        .arg("--report")
        .arg(report("replay.txt"))
        .arg(recordings(&shared));
    let output = String::from_utf8_lossy(&run::output(&mut replay).stdout).into_owned();
    println!("recorded API conversations:\n{output}");
    let (passed, failed) = closing_line(&output);
    assert!(
        passed >= 300,
        "{passed} passed, {failed} failed; see {}",
        report("replay.txt").display()
    );
}

#[test]
fn recorded_pods_come_to_what_they_came_to_on_kubernetes() {
    if !need::met(&[
        "python3", "kubectl", "skopeo", "umoci", "busybox", "nsenter",
    ]) {
        return;
    }
    let Some(shared) = shared() else { return };
    let (_network, machine) = Machine::alone();
    let skiff = Skiff::up(&machine, &[]);
    run::ok(&mut skiff.command(&["image", "import", &image::busybox().display().to_string()]));
    let mut pods: Command = machine.command("python3");
    pods.arg(shared.join("tools/pods.py"));
    pods.args([
        "compare",
        "--server",
        "https://127.0.0.1:6443",
        "--token",
        TOKEN,
        "--node",
        "node",
    ]);
    pods.arg("--report")
        .arg(report("pods.txt"))
        .arg(recordings(&shared).join("pods.json"));
    let output = String::from_utf8_lossy(&run::output(&mut pods).stdout).into_owned();
    println!("recorded pods:\n{output}");
    let (passed, failed) = closing_line(&output);
    assert!(
        passed >= 60,
        "{passed} passed, {failed} failed; see {}",
        report("pods.txt").display()
    );
}

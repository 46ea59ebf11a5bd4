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

/// The server as the recorded one was: some answers hold its port and addresses.
const AS_RECORDED: &[&str] = &[
    "--secure-port",
    "16443",
    "--advertise-address",
    "127.0.0.1",
    "--service-cluster-ip-range",
    "10.97.0.0/16",
    "--cluster-dns",
    "10.97.0.10",
];
/// Cases that newer releases answer otherwise, at most.
const KNOWN_MOST: usize = 15;
/// Of a hundred messages, so many are worded as recorded, those aside that are listed.
const SAME_WORDS: usize = 95;

/// The lines `AREA: CASE # REASON` of a list of cases, without the reasons.
fn listed(name: &str) -> Vec<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("replay")
        .join(name);
    let text = std::fs::read_to_string(path).expect("read a list of cases");
    let case = |line: &str| {
        let (case, why) = line.split_once(" # ").expect("every case has a reason");
        assert!(!why.trim().is_empty(), "no reason: {line}");
        case.to_owned()
    };
    text.lines().map(case).collect()
}

/// How many messages there were, and the cases of those worded otherwise.
fn wordings(output: &str, report: &str) -> (usize, Vec<String>) {
    let line = output
        .lines()
        .find_map(|line| line.strip_prefix("messages worded the same: "));
    let (_, all) = line
        .and_then(|line| line.split_once(" of "))
        .expect("a line about messages");
    let lines = report
        .lines()
        .filter_map(|line| line.strip_prefix("  text "));
    let cases = lines.filter_map(|line| Some(line.rsplit_once(" .")?.0.to_owned()));
    (all.parse().expect("a count"), cases.collect())
}

fn check_wordings(output: &str, report: &str) {
    let reworded = listed("wordings.txt");
    let (all, other) = wordings(output, report);
    let (explained, unexplained): (Vec<_>, Vec<_>) =
        other.iter().partition(|case| reworded.contains(case));
    println!(
        "messages: {all}; {} worded as recorded, {} as newer releases word them, {} otherwise",
        all - other.len(),
        explained.len(),
        unexplained.len()
    );
    let compared = all - explained.len();
    assert!(
        (compared - unexplained.len()) * 100 >= compared * SAME_WORDS,
        "worded otherwise: {unexplained:?}"
    );
}

#[test]
fn recorded_api_conversations_are_answered_as_kubernetes_did() {
    if !need::met(&["python3", "kubectl", "nsenter"]) {
        return;
    }
    let Some(shared) = shared() else { return };
    let (known, waiting) = (listed("known.txt"), listed("waiting.txt"));
    assert!(known.len() <= KNOWN_MOST, "{} known cases", known.len());
    let (_network, machine) = Machine::alone();
    let skiff = Skiff::server(&machine, AS_RECORDED);
    let excused = skiff.dir.with_extension("excused");
    let lines = known.iter().chain(&waiting);
    let lines: String = lines.map(|case| format!("{case} # listed\n")).collect();
    std::fs::write(&excused, lines).expect("write the cases that may fail");
    let mut replay: Command = machine.command("python3");
    replay.arg(shared.join("tools/replay.py"));
    replay.args(["--server", "https://127.0.0.1:16443", "--token", TOKEN]);
    replay.arg("--known").arg(excused);
    replay
        .arg("--report")
        .arg(report("replay.txt"))
        .arg(recordings(&shared));
    let output = String::from_utf8_lossy(&run::output(&mut replay).stdout).into_owned();
    println!("recorded API conversations:\n{output}");
    let told = std::fs::read_to_string(report("replay.txt")).expect("read the report");
    let (passed, failed) = closing_line(&output);
    let failures: Vec<&str> = told.lines().filter(|l| l.starts_with("FAIL ")).collect();
    assert!(failed == 0 && passed > 400, "{failures:#?}");
    let all = known.len() + waiting.len();
    assert!(
        output.contains(&format!("known differences: {all} of {all} listed")),
        "a listed case passes: take it off its list"
    );
    check_wordings(&output, &told);
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

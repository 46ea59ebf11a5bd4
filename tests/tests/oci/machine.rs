//! The suite once more, on a machine with systemd and cgroup v2 alone.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use e2e::{run, vm};

/// It takes about four minutes on two cores that do nothing else.
const LIMIT: Duration = Duration::from_secs(900);

/// Which of the suite's tests; `OCI_MACHINE=runc::` asks whether a case is right there.
fn filter() -> String {
    std::env::var("OCI_MACHINE").unwrap_or_else(|_| "skiff::".to_owned())
}

#[test]
fn suite_passes_on_debian_with_systemd_and_cgroup_v2() {
    if !e2e::need::met(vm::PROGRAMS) {
        return;
    }
    let dir = vm::scratch("stripped");
    let own = std::env::current_exe().expect("a process knows its own file");
    let files = [
        ("oci", stripped(&own, &dir, "oci")),
        ("skiff", stripped(&e2e::skiff::binary(), &dir, "skiff")),
    ];
    let case = std::env::var("OCI_CASE").unwrap_or_default();
    let script = format!(
        "export SKIFF_BIN=/work/skiff CI=1 OCI_BRIEF=1 RUST_BACKTRACE=0 OCI_CASE={case} HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin\n\
         ./oci {} --nocapture --test-threads 1 2>&1 | sed -u 's/^test .* \\.\\.\\. //' | grep -a --line-buffered -vE '^(ok|running .*|)$'\n\
         ./oci {} --list | grep -c ': test' | sed 's/^/tests: /'",
        filter(),
        filter()
    );
    let output = vm::run(&files, &script, LIMIT);
    let _ = dir.parent().map(std::fs::remove_dir_all);
    println!("{output}");
    let passed = output
        .lines()
        .filter(|line| line.starts_with("oci ") && line.contains(" 0 failed"))
        .count();
    assert!(
        output.contains(&format!("tests: {passed}\r\n"))
            || output.contains(&format!("tests: {passed}\n")),
        "{output}"
    );
}

/// The file without what only a debugger reads: there is less to copy.
fn stripped(file: &Path, dir: &Path, name: &str) -> PathBuf {
    let to = dir.join(name);
    run::ok(Command::new("strip").arg("-o").arg(&to).arg(file));
    to
}

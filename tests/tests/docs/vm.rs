//! Pages about services, which need systemd: all of them one after another on one Debian machine.
//!
//! Each run begins in an empty directory with `skiff`, `skiff-new` (the same program under another name), the
//! Debian package and `busybox.tar`; the machine's address is 10.0.0.1. After it skiff is uninstalled.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use e2e::{image, need, skiff, vm};

use crate::page::{Page, Place, Run};
use crate::{read, script};

/// A machine of software needs some minutes where others work too.
const LIMIT: Duration = Duration::from_secs(1200);

/// The runs of those pages that are to be run there.
#[track_caller]
pub fn run_all(pages: &[String]) {
    if !need::met(vm::PROGRAMS) {
        return;
    }
    let pages: Vec<Page> = pages.iter().map(|file| read(file)).collect();
    let runs = pages
        .iter()
        .flat_map(|page| page.runs.iter().map(move |run| (page, run)));
    let runs: Vec<(&Page, &Run)> = runs.filter(|(_, run)| run.place == Place::Vm).collect();
    if runs.is_empty() {
        return;
    }
    let dir = vm::scratch("pages");
    let mut files = programs(&dir);
    let mut all = String::from(include_str!("vm.sh"));
    for (n, (page, run)) in runs.iter().enumerate() {
        let path = dir.join(format!("page{n}"));
        std::fs::write(&path, script::of(page, run)).expect("write a script");
        files.push((format!("page{n}"), path));
        all.push_str(&format!("page {n} docs/{}:{}\n", page.file, run.line));
    }
    all.push_str("exit $failed\n");
    let files: Vec<(&str, PathBuf)> = files
        .iter()
        .map(|(name, path)| (name.as_str(), path.clone()))
        .collect();
    let output = vm::run(&files, &all, LIMIT);
    println!("{output}");
    let wanted: usize = runs.iter().map(|(_, run)| run.blocks.len()).sum();
    assert_eq!(
        script::ended(&output),
        wanted,
        "blocks that were run to their end"
    );
    let _ = std::fs::remove_dir_all(&dir);
    let _ = dir.parent().map(std::fs::remove_dir);
}

fn programs(dir: &Path) -> Vec<(String, PathBuf)> {
    let stripped = dir.join("skiff");
    e2e::run::ok(
        Command::new("strip")
            .arg("-o")
            .arg(&stripped)
            .arg(skiff::binary()),
    );
    let make = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/package.sh");
    let mut make = Command::new(make);
    make.arg("--fast")
        .arg("--binary")
        .arg(&stripped)
        .arg("--out")
        .arg(dir);
    e2e::run::ok(&mut make);
    let entries = std::fs::read_dir(dir)
        .expect("the directory is there")
        .flatten();
    let mut packages = entries.map(|entry| entry.path());
    let package =
        packages.find(|path| path.extension().is_some_and(|extension| extension == "deb"));
    let package = package.expect("package.sh makes a package");
    let name = package
        .file_name()
        .expect("it has a name")
        .to_string_lossy()
        .into_owned();
    vec![
        ("skiff".into(), stripped),
        (name, package),
        ("busybox.tar".into(), image::busybox()),
    ]
}

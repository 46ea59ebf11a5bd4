//! The manual's commands, run as they are written.
//!
//! A page of `docs/` is a story of commands in ```` ```sh ```` blocks. A line of its own says where they run,
//! at the top of the page and wherever the story moves to another machine:
//!
//! | line | what the commands find |
//! |---|---|
//! | `<!-- run: machine -->` | a bare machine with `skiff` and `kubectl`, an internet (DNS, `docker.io` with busybox and nginx), and a company's registry: see [`room`] |
//! | `<!-- run: cluster -->` | the same, with `skiff up` running and Ready, and `KUBECONFIG` set |
//! | `<!-- run: vm -->` | a Debian machine with systemd, without a network; `./skiff`, `./skiff-new`, `./skiff_*.deb` and `./busybox.tar` beside it: see [`vm`] |
//!
//! `<!-- run: machine, offline -->` and `<!-- run: cluster, offline -->` have no internet. The runs of a page share the directory
//! `/media/usb` and the company's registry, and nothing else.
//!
//! All blocks of a run are one `bash -euo pipefail`, so variables and background jobs live on. A block that cannot be
//! run must not be written as one: what people type is ```` ```sh ````, what programs show is ```` ```text ````, and there is no third.

mod internet;
mod page;
mod room;
mod script;
mod vm;

use std::path::{Path, PathBuf};

use e2e::need;
use page::{Page, Place};

/// Pages without a story, and why.
const EXEMPT: &[(&str, &str)] = &[
    (
        "cli.md",
        "a reference; it is made from the commands themselves",
    ),
    ("configuration.md", "a reference; `cli` makes and checks it"),
];

const PROGRAMS: &[&str] = &[
    "bash",
    "busybox",
    "docker-registry",
    "kubectl",
    "mmdebstrap",
    "nft",
    "nsenter",
    "openssl",
    "podman",
    "setpriv",
    "skopeo",
    "strip",
    "umoci",
    "unshare",
];

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

#[track_caller]
fn read(file: &str) -> Page {
    let text = std::fs::read_to_string(docs().join(file)).expect(file);
    match Page::parse(file, &text) {
        Ok(page) => page,
        Err(problem) => panic!("docs/{file}:{problem}"),
    }
}

/// All but what needs a virtual machine, which [`pages_about_services`] runs.
#[track_caller]
fn run(file: &str) {
    if !need::met(PROGRAMS) {
        return;
    }
    let page = read(file);
    if page.runs.iter().all(|run| run.place == Place::Vm) {
        return;
    }
    let is_here = |run: &&page::Run| run.place != Place::Vm;
    let ran: usize = room::run_all(&page, page.runs.iter().filter(is_here));
    let wanted: usize = page
        .runs
        .iter()
        .filter(is_here)
        .map(|run| run.blocks.len())
        .sum();
    assert_eq!(
        ran, wanted,
        "blocks of docs/{file} that were run to their end"
    );
}

/// A test a page, by the names of the pages.
macro_rules! pages {
    ($($name:ident: $file:literal;)*) => {
        const PAGES: &[&str] = &[$($file),*];
        mod pages {
            $(#[test]
            fn $name() {
                crate::run($file);
            })*
        }
    };
}

pages! {
    air_gapped: "air-gapped.md";
    clusters: "clusters.md";
    coming_from: "coming-from.md";
    networking: "networking.md";
    observability: "observability.md";
    security: "security.md";
    troubleshooting: "troubleshooting.md";
}

/// All pages of the manual but the exempt ones.
#[track_caller]
fn all() -> Vec<String> {
    let entries = std::fs::read_dir(docs()).expect("docs/ is there").flatten();
    let files = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let pages = files.filter(|file| file.ends_with(".md"));
    let is_exempt = |file: &String| EXEMPT.iter().any(|(exempt, _)| exempt == file);
    let mut pages: Vec<String> = pages.filter(|file| !is_exempt(file)).collect();
    pages.sort();
    pages
}

#[test]
fn pages_without_a_test_of_their_own() {
    for file in all().iter().filter(|file| !PAGES.contains(&file.as_str())) {
        run(file);
    }
}

#[test]
fn every_page_is_run_or_says_why_not() {
    let all = all();
    for file in PAGES {
        assert!(
            all.iter().any(|page| page == file),
            "docs/{file} is not there"
        );
    }
    for file in &all {
        let page = read(file);
        assert!(
            !page.runs.is_empty(),
            "docs/{file} has no line <!-- run: ... -->"
        );
        for run in &page.runs {
            assert!(
                !run.blocks.is_empty(),
                "docs/{file}:{}: nothing is run there",
                run.line
            );
        }
    }
}

#[test]
fn pages_about_services() {
    vm::run_all(&all());
}

//! Each behaviour that a part must show has a test of its codename:
//! `conformance/issue-N.txt` has the codenames, one a line, of what that issue
//! is about. `[sig-apps] Job should delete a job [Conformance]` is tested by
//! `fn sig_apps_job_should_delete_a_job`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Said of how a test is run, not of what it tests.
const TAGS: [&str; 4] = ["[Conformance]", "[Serial]", "[Slow]", "[Disruptive]"];

fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().expect("the workspace is around").to_owned()
}

/// The name of the test of a codename.
fn test_name(codename: &str) -> String {
    let mut text = codename.to_lowercase();
    for tag in TAGS {
        text = text.replace(&tag.to_lowercase(), "");
    }
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join("_")
}

/// The names of all functions that are tests below `dir`.
fn tests_below(dir: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).expect("read a directory").flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() {
            if name != "target" && !name.as_encoded_bytes().starts_with(b".") {
                tests_below(&path, found);
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).expect("read a source file");
            found.extend(tests_in(&text));
        }
    }
}

/// The functions that an attribute just above makes tests.
fn tests_in(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[") {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        } else if let Some((_, after)) = line.split_once("fn ").filter(|_| is_test) {
            let name = after.split(['(', '<']).next().unwrap_or_default();
            names.push(name.to_owned());
            is_test = false;
        } else if !line.starts_with("//") {
            is_test = false;
        }
    }
    names
}

fn lists() -> Vec<(PathBuf, Vec<String>)> {
    let dir = root().join("tests/conformance");
    let files = fs::read_dir(dir).expect("read the lists").flatten();
    let list = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("read a list");
        (path, text.lines().map(str::to_owned).collect())
    };
    files.map(|file| list(file.path())).collect()
}

#[test]
fn each_behaviour_has_a_test_that_bears_its_codename() {
    let mut tests = BTreeSet::new();
    tests_below(&root(), &mut tests);
    let mut missing = Vec::new();
    for (_, codenames) in lists() {
        assert!(!codenames.is_empty());
        let untested = codenames.iter().filter(|c| !tests.contains(&test_name(c)));
        missing.extend(untested.map(|c| format!("{c}\n  fn {}", test_name(c))));
    }
    let missing = missing.join("\n");
    assert!(missing.is_empty(), "without a test:\n{missing}");
}

/// The codenames of the reference, from its YAML.
fn described() -> Option<BTreeSet<String>> {
    let shared = root().parent()?.join("shared");
    let file = shared.join("reference/kubernetes-v1.23.16/conformance.yaml");
    let Ok(text) = fs::read_to_string(&file) else {
        println!("skipped: there is no reference at {}", file.display());
        return None;
    };
    let codename = |entry: &str| {
        let folded = entry.split("\n  description:").next().unwrap_or_default();
        let words: Vec<&str> = folded.split_whitespace().collect();
        words.join(" ").trim_matches('\'').replace("''", "'")
    };
    Some(text.split("  codename: ").skip(1).map(codename).collect())
}

#[test]
fn lists_of_codenames_have_all_that_the_reference_describes_of_their_parts() {
    let Some(described) = described() else {
        return;
    };
    assert!(described.len() > 300, "{} codenames", described.len());
    let parts = [
        "[sig-apps]",
        "[sig-scheduling]",
        "[sig-api-machinery] Garbage collector",
        "[sig-api-machinery] Namespaces",
        "[sig-api-machinery] ResourceQuota",
        "[sig-network] EndpointSlice",
        "[sig-network] Services should test the lifecycle of an Endpoint",
        "[sig-node] NoExecuteTaintManager",
    ];
    let is_ours = |name: &&String| parts.iter().any(|part| name.starts_with(part));
    let wanted: Vec<&String> = described.iter().filter(is_ours).collect();
    let file = root().join("tests/conformance/issue-5.txt");
    let listed = lists().into_iter().find(|(path, _)| *path == file);
    let (_, listed) = listed.expect("the list is there");
    assert_eq!(listed.iter().collect::<Vec<_>>(), wanted);
}

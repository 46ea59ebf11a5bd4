//! The table of kinds against what a real Kubernetes answered.
//!
//! Plays recorded requests through `default`, `prepare_*` and `check_*`, without a server:
//! what needs other objects (admission, allocation) is passed over by name.

mod recordings {
    pub mod cases;
    pub mod compare;
    pub mod discovery;
}

use std::collections::HashMap;

use recordings::cases::{self, Case};
use recordings::compare::missing;
use recordings::discovery;
use serde_json::Value;

/// A figure below this is a step back.
const DISCOVERY_AT_LEAST: usize = 90;
const DEFAULTS_AT_LEAST: usize = 54;
const VALIDATION_AT_LEAST: usize = 68;
const TABLES_AT_LEAST: usize = 35;

#[derive(Default)]
struct Score {
    passed: usize,
    failed: Vec<String>,
}

impl Score {
    fn add(&mut self, name: &str, problems: Vec<String>) {
        if problems.is_empty() {
            self.passed += 1;
        } else {
            self.failed.push(format!("{name}: {}", problems.join("; ")));
        }
    }

    fn report(&self, what: &str, at_least: usize) {
        for failure in &self.failed {
            println!("{what}: {failure}");
        }
        println!(
            "{what}: {} passed, {} failed",
            self.passed,
            self.failed.len()
        );
        assert!(
            self.passed >= at_least,
            "{what}: expected at least {at_least}"
        );
    }
}

#[test]
fn discovery_is_as_recorded() {
    let Some(cases) = cases::load("discovery") else {
        return;
    };
    let mut score = Score::default();
    for case in cases
        .iter()
        .filter(|case| case.answer["kind"] == "APIResourceList")
    {
        let group_version = case.answer["groupVersion"].as_str().unwrap_or_default();
        let (group, version) = group_version.split_once('/').unwrap_or(("", group_version));
        let is_stable = !version.contains("beta") && !version.contains("alpha");
        for resource in case.answer["resources"].as_array().into_iter().flatten() {
            if is_stable {
                let name = format!("{group_version} {}", resource["name"]);
                score.add(&name, discovery::compare(group, version, resource));
            }
        }
    }
    score.report("discovery", DISCOVERY_AT_LEAST);
}

#[test]
fn defaults_are_as_recorded() {
    let Some(cases) = cases::load("defaults") else {
        return;
    };
    let mut score = Score::default();
    for case in cases
        .iter()
        .filter(|case| case.method == "POST" && case.status == 201)
    {
        let Some(kind) = case.kind() else { continue };
        let object = cases::created(kind, case);
        score.add(&case.name, missing(&case.answer, &object));
    }
    score.report("defaults", DEFAULTS_AT_LEAST);
}

#[test]
fn mistakes_are_reported_as_recorded() {
    let Some(cases) = cases::load("validation") else {
        return;
    };
    let stored = stored_objects();
    let mut score = Score::default();
    let mut same_texts = 0;
    for case in cases.iter().filter(|case| case.status == 422) {
        let Some(kind) = case.kind() else { continue };
        let found = match case.method.as_str() {
            "POST" => kind.check_create(&cases::created(kind, case)),
            _ => match stored.get(&case.path) {
                Some(old) => kind.check_update(&cases::updated(kind, case, old), old),
                None => continue,
            },
        };
        let causes = &case.answer["details"]["causes"];
        let (problems, texts) = cases::compare_causes(causes, &found);
        same_texts += usize::from(texts);
        score.add(&case.name, problems);
    }
    println!("validation: {same_texts} with the very same texts");
    score.report("validation", VALIDATION_AT_LEAST);
}

#[test]
fn tables_are_as_recorded() {
    let Some(cases) = cases::load("tables") else {
        return;
    };
    let stored = stored_objects();
    let mut score = Score::default();
    for case in cases.iter().filter(|case| case.answer["kind"] == "Table") {
        let Some(kind) = case.kind() else { continue };
        score.add(&case.name, cases::compare_table(kind, case, &stored));
    }
    score.report("tables", TABLES_AT_LEAST);
}

/// Every object the recordings created, as it was answered, by its path.
fn stored_objects() -> HashMap<String, Value> {
    let mut stored = HashMap::new();
    for case in cases::load("defaults").unwrap_or_default() {
        let name = case.answer["metadata"]["name"].as_str().unwrap_or_default();
        if case.method == "POST" && case.status == 201 {
            stored.insert(format!("{}/{name}", case.path), case.answer.clone());
        }
    }
    stored
}

#[test]
fn every_recorded_object_is_valid_and_settled_after_one_defaulting() {
    let Some(cases) = cases::load("defaults") else {
        return;
    };
    let is_good = |case: &&Case| case.method == "POST" && case.status == 201;
    for case in cases.iter().filter(is_good) {
        let Some(kind) = case.kind() else { continue };
        let object = cases::created(kind, case);
        let errors = kind.check_create(&object);
        assert!(errors.is_empty(), "{}: {errors:?}", case.name);
        let mut again = object.clone();
        (kind.default)(&mut again);
        assert_eq!(again, object, "{} is not settled", case.name);
    }
}

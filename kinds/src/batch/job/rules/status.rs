//! Rules on a Job's `/status`: what its controller reports must be able to be true.

use apimachinery::field::Error;
use apimachinery::meta;

use super::is_indexed;
use super::success::count_indexes;
use crate::errors::Errors;
use crate::node::Node;

pub fn validate_status_update(new: &Node, old: &Node, errors: &mut Errors) {
    let (spec, status) = (new.at("spec"), new.at("status"));
    for field in ["active", "succeeded", "failed", "ready", "terminating"] {
        errors.not_negative(&status.at(field));
    }
    let (active, ready) = (status.at("active"), status.at("ready"));
    if ready.int().unwrap_or(0) > active.int().unwrap_or(0) {
        errors.invalid(&ready, "cannot set more ready pods than active");
    }
    indexes(&spec, &status, errors);
    finished(&status, errors);
    once_finished(&status, &old.at("status"), errors);
}

fn indexes(spec: &Node, status: &Node, errors: &mut Errors) {
    let completions = spec.at("completions").int().unwrap_or(i64::MAX);
    for field in ["completedIndexes", "failedIndexes"] {
        let indexes = status.at(field);
        if indexes.is_empty() {
            continue;
        }
        if !is_indexed(spec) {
            let why = format!("cannot set non-empty {field} when non-indexed completion mode");
            errors.invalid(&indexes, why);
        } else if let Err(why) = count_indexes(indexes.text(), completions) {
            errors.invalid(&indexes, format!("error parsing {field}: {why}"));
        }
    }
}

fn has(status: &Node, kind: &str) -> bool {
    let mut conditions = meta::items(status.value, "conditions").iter();
    conditions.any(|condition| {
        meta::text(condition, "type") == kind && meta::text(condition, "status") == "True"
    })
}

/// A job ends one way, and once.
fn finished(status: &Node, errors: &mut Errors) {
    let (complete, failed) = (has(status, "Complete"), has(status, "Failed"));
    let conditions = status.at("conditions");
    if complete && failed {
        let why = "cannot set Complete=True and Failed=true conditions";
        errors.invalid_place(&conditions, why);
    }
    let (start, end) = (status.at("startTime"), status.at("completionTime"));
    if end.exists() && !complete {
        let why = "cannot set completionTime when there is no Complete=True condition";
        errors.invalid(&end, why);
    }
    if end.exists() && !start.exists() {
        let why = "cannot set completionTime when startTime is not set";
        errors.push(Error::required(&start.path, why));
    }
    if (complete || failed) && status.at("active").int().unwrap_or(0) > 0 {
        let active = status.at("active");
        errors.invalid(&active, "active>0 is invalid for finished job");
    }
}

fn once_finished(status: &Node, before: &Node, errors: &mut Errors) {
    let conditions = status.at("conditions");
    for kind in ["Complete", "Failed"] {
        if has(before, kind) && !has(status, kind) {
            let why = format!("cannot disable the terminal Job condition of type {kind:?}");
            errors.invalid_place(&conditions, why);
        }
    }
}

//! Validation of Jobs.

use apimachinery::field::Error;
use apimachinery::selector::LabelSelector;

use crate::errors::Errors;
use crate::label_selector;
use crate::node::Node;
use crate::pod_template;
use crate::prepare;

const PARALLELISM_MAX_INDEXED: i64 = 100_000;

pub fn validate(job: &Node, errors: &mut Errors) {
    let spec = job.at("spec");
    let selector = spec.at("selector");
    if selector.exists() {
        label_selector::validate(&selector, errors);
    } else {
        errors.required(&selector, "");
    }
    let selects = LabelSelector::from_object(selector.value).ok();
    let labels = spec.at("template.metadata.labels");
    if selects.is_some_and(|selects| !selects.matches(labels.map())) {
        let why = "`selector` does not match template `labels`";
        errors.push(Error::invalid(&labels.path, labels.value.clone(), why));
    }
    validate_spec(&spec, errors);
}

/// Rules on the spec, which a CronJob holds too.
pub fn validate_spec(spec: &Node, errors: &mut Errors) {
    for field in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        errors.not_negative(&spec.at(field));
    }
    let mode = spec.at("completionMode");
    errors.one_of_if_set(&mode, &["NonIndexed", "Indexed"]);
    if mode.text() == "Indexed" {
        indexed(spec, errors);
    } else {
        not_indexed(spec, errors);
    }
    let template = spec.at("template");
    pod_template::validate_template(&template, errors);
    restart_policy(&template.at("spec.restartPolicy"), errors);
    failure_policy(spec, errors);
    let policies = &["Failed", "TerminatingOrFailed"];
    errors.one_of_if_set(&spec.at("podReplacementPolicy"), policies);
}

fn indexed(spec: &Node, errors: &mut Errors) {
    let completions = spec.at("completions");
    if !completions.exists() {
        errors.required(&completions, "when completion mode is Indexed");
    }
    let parallelism = spec.at("parallelism");
    if parallelism.int().unwrap_or(0) > PARALLELISM_MAX_INDEXED {
        let why = format!(
            "must be less than or equal to {PARALLELISM_MAX_INDEXED} when completion mode is Indexed"
        );
        errors.invalid(&parallelism, why);
    }
}

fn not_indexed(spec: &Node, errors: &mut Errors) {
    let per_index = spec.at("backoffLimitPerIndex");
    if per_index.exists() {
        errors.invalid(&per_index, "requires indexed completion mode");
    }
    let failed = spec.at("maxFailedIndexes");
    if failed.exists() {
        errors.invalid(&failed, "requires indexed completion mode");
    }
}

fn restart_policy(policy: &Node, errors: &mut Errors) {
    match policy.text() {
        "OnFailure" | "Never" => {}
        "" | "Always" => errors.required(policy, "valid values: \"OnFailure\", \"Never\""),
        _ => {
            errors.one_of(policy, &["OnFailure", "Never"]);
        }
    }
}

fn failure_policy(spec: &Node, errors: &mut Errors) {
    let policy = spec.at("podFailurePolicy");
    if !policy.exists() {
        return;
    }
    let restart = spec.at("template.spec.restartPolicy");
    if restart.text() != "Never" {
        let why = "only \"Never\" is supported when podFailurePolicy is specified";
        errors.invalid_text(&restart, why);
    }
    for rule in policy.at("rules").items() {
        failure_rule(&rule, errors);
    }
}

fn failure_rule(rule: &Node, errors: &mut Errors) {
    let actions = &["Count", "FailIndex", "FailJob", "Ignore"];
    errors.require_one_of(&rule.at("action"), actions);
    let (codes, conditions) = (rule.at("onExitCodes"), rule.at("onPodConditions"));
    match (codes.exists(), conditions.is_empty()) {
        (true, false) => errors.invalid(
            rule,
            "specifying both OnExitCodes and OnPodConditions is not supported",
        ),
        (false, true) => errors.invalid(
            rule,
            "specifying one of OnExitCodes and OnPodConditions is required",
        ),
        _ => {}
    }
    if codes.exists() {
        errors.require_one_of(&codes.at("operator"), &["In", "NotIn"]);
        if codes.at("values").is_empty() {
            errors.invalid(&codes.at("values"), "at least one value is required");
        }
    }
}

const IMMUTABLE: [&str; 6] = [
    "selector",
    "completionMode",
    "podFailurePolicy",
    "backoffLimitPerIndex",
    "managedBy",
    "successPolicy",
];
/// What the scheduler reads may still change while the job has not started.
const BEFORE_START: [&str; 4] = ["nodeSelector", "tolerations", "schedulingGates", "affinity"];

pub fn validate_update(new: &Node, old: &Node, errors: &mut Errors) {
    let (spec, before) = (new.at("spec"), old.at("spec"));
    validate_spec(&spec, errors);
    completions(&spec, &before, errors);
    errors.immutable(&spec.at(IMMUTABLE[0]), &before.at(IMMUTABLE[0]));
    template(&spec, old, errors);
    for field in &IMMUTABLE[1..] {
        errors.immutable(&spec.at(field), &before.at(field));
    }
}

/// Indexed jobs may grow and shrink, with their parallelism.
fn completions(spec: &Node, before: &Node, errors: &mut Errors) {
    let (now, was) = (spec.at("completions"), before.at("completions"));
    if now.value == was.value {
        return;
    }
    let elastic = spec.at("completionMode").text() == "Indexed" && now.exists() && was.exists();
    let together = now.value == spec.at("parallelism").value;
    if !(elastic && together) {
        errors.invalid(&now, "field is immutable");
    }
}

fn template(spec: &Node, old: &Node, errors: &mut Errors) {
    let now = spec.at("template");
    let was = old.at("spec.template");
    let mut put_back = now.value.clone();
    let waiting = old.at("spec.suspend").is_true() && !old.at("status.startTime").exists();
    if waiting {
        for field in BEFORE_START {
            prepare::copy_field(&mut put_back["spec"], was.at("spec").value, field);
        }
        for field in ["labels", "annotations"] {
            prepare::copy_field(&mut put_back["metadata"], was.at("metadata").value, field);
        }
    }
    if put_back != *was.value {
        errors.invalid(&now, "field is immutable");
    }
}

pub fn validate_status_update(new: &Node, _: &Node, errors: &mut Errors) {
    let status = new.at("status");
    for field in ["active", "succeeded", "failed", "ready", "terminating"] {
        errors.not_negative(&status.at(field));
    }
}

//! Validation of Jobs.

mod policies;
mod status;
mod success;

use apimachinery::field::Error;
use apimachinery::names;
use apimachinery::selector::LabelSelector;
use serde_json::{Map, Value};

use crate::errors::Errors;
use crate::label_selector;
use crate::node::Node;
use crate::pod_template;
use crate::prepare;

pub use status::validate_status_update;

/// The most pods at once, failed indexes and completions of an indexed job.
const INDEXES_MAX: i64 = 100_000;
/// The most pods at once and failed indexes of a job with more completions than that.
const MANY_INDEXES_MAX: i64 = 10_000;
const MANAGER_MAX: usize = 63;

pub fn validate(job: &Node, errors: &mut Errors) {
    generated_selector(job, errors);
    whole_spec(&job.at("spec"), errors);
    pod_names_fit(job, errors);
}

/// The spec with its selector, as Jobs of their own have it.
fn whole_spec(spec: &Node, errors: &mut Errors) {
    validate_spec(spec, errors);
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
}

/// Unless chosen by hand, the selector is the job's own, and so are its pods' labels.
fn generated_selector(job: &Node, errors: &mut Errors) {
    let selector = job.at("spec.selector");
    if job.at("spec.manualSelector").is_true() || !selector.exists() {
        return;
    }
    let (uid, name) = (job.at("metadata.uid"), job.at("metadata.name"));
    errors.require(&uid);
    let mut wanted = Map::new();
    let template = job.at("spec.template.metadata");
    let labels = template.at("labels");
    for (key, value) in [
        ("batch.kubernetes.io/controller-uid", uid.text()),
        ("batch.kubernetes.io/job-name", name.text()),
    ] {
        wanted.insert(key.to_owned(), value.into());
        let label = labels.map().and_then(|all| all.get(key)?.as_str());
        let why = format!("must be '{value}'");
        match label {
            None => errors.push(Error::required(&labels.path.key(key), why)),
            Some(label) if label != value => {
                let shown = labels.value.clone();
                errors.push(Error::invalid(&labels.path.key(key), shown, why));
            }
            Some(_) => {}
        }
    }
    for (old, new) in [
        ("controller-uid", "batch.kubernetes.io/controller-uid"),
        ("job-name", "batch.kubernetes.io/job-name"),
    ] {
        let value = wanted.get(new).cloned().unwrap_or_default();
        wanted.insert(old.to_owned(), value);
    }
    let selects = LabelSelector::from_object(selector.value).ok();
    if selects.is_some_and(|selects| !selects.matches(Some(&wanted))) {
        errors.invalid(&selector, "`selector` not auto-generated");
    }
}

/// The pods of an indexed job are named after it and their index.
fn pod_names_fit(job: &Node, errors: &mut Errors) {
    let spec = job.at("spec");
    let completions = spec.at("completions").int().unwrap_or(0);
    if !is_indexed(&spec) || completions <= 0 {
        return;
    }
    let name = job.at("metadata.name");
    let longest = format!("{}-{}", name.text(), completions - 1);
    if !names::dns_label(&longest).is_empty() {
        let why = format!("will not able to create pod with invalid DNS label: {longest}");
        errors.invalid_text(&name, why);
    }
}

pub fn is_indexed(spec: &Node) -> bool {
    spec.at("completionMode").text() == "Indexed"
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
    let per_index = spec.at("backoffLimitPerIndex");
    if spec.at("maxFailedIndexes").exists() && !per_index.exists() {
        errors.required(&per_index, "when maxFailedIndexes is specified");
    }
    managed_by(&spec.at("managedBy"), errors);
    errors.one_of_if_set(&spec.at("completionMode"), &["NonIndexed", "Indexed"]);
    if is_indexed(spec) {
        indexed(spec, errors);
    } else {
        not_indexed(spec, errors);
    }
    policies::failure(spec, errors);
    success::validate(spec, errors);
    policies::replacement(spec, errors);
    let template = spec.at("template");
    pod_template::validate_template(&template, errors);
    restart_policy(spec, &template.at("spec.restartPolicy"), errors);
}

fn managed_by(manager: &Node, errors: &mut Errors) {
    if !manager.exists() {
        return;
    }
    errors.domain_prefixed_path(manager);
    if manager.len() > MANAGER_MAX {
        errors.push(Error::too_long(&manager.path, MANAGER_MAX));
    }
}

fn indexed(spec: &Node, errors: &mut Errors) {
    let (completions, parallelism, failed) = (
        spec.at("completions"),
        spec.at("parallelism"),
        spec.at("maxFailedIndexes"),
    );
    if !completions.exists() {
        errors.required(&completions, "when completion mode is Indexed");
    }
    let over = |node: &Node, most: i64| node.int().is_some_and(|count| count > most);
    if over(&parallelism, INDEXES_MAX) {
        let why =
            format!("must be less than or equal to {INDEXES_MAX} when completion mode is Indexed");
        errors.invalid(&parallelism, why);
    }
    if completions.exists() && failed.int() > completions.int() {
        errors.invalid(&failed, "must be less than or equal to completions");
    }
    if over(&failed, INDEXES_MAX) {
        let why = format!("must be less than or equal to {INDEXES_MAX}");
        errors.invalid(&failed, why);
    }
    if !over(&completions, INDEXES_MAX) || !spec.at("backoffLimitPerIndex").exists() {
        return;
    }
    if !failed.exists() {
        let why = format!("must be specified when completions is above {INDEXES_MAX}");
        errors.required(&failed, &why);
    }
    for node in [&parallelism, &failed] {
        if over(node, MANY_INDEXES_MAX) {
            let why = format!(
                "must be less than or equal to {MANY_INDEXES_MAX} when completions are above {INDEXES_MAX} and used with backoff limit per index"
            );
            errors.invalid(node, why);
        }
    }
}

fn not_indexed(spec: &Node, errors: &mut Errors) {
    for field in ["backoffLimitPerIndex", "maxFailedIndexes"] {
        let field = spec.at(field);
        if field.exists() {
            errors.invalid(&field, "requires indexed completion mode");
        }
    }
}

fn restart_policy(spec: &Node, policy: &Node, errors: &mut Errors) {
    match policy.text() {
        "" | "Always" => errors.required(policy, "valid values: \"OnFailure\", \"Never\""),
        "OnFailure" if spec.at("podFailurePolicy").exists() => {
            let why = "only \"Never\" is supported when podFailurePolicy is specified";
            errors.invalid_text(policy, why);
        }
        _ => {
            errors.one_of(policy, &["OnFailure", "Never"]);
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
    whole_spec(&spec, errors);
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

/// What containers ask for may be fitted to a cluster while the job waits.
fn resources_back(template: &mut Value, was: &Value) {
    for list in ["initContainers", "containers"] {
        let path = format!("/spec/{list}");
        let olds = was.pointer(&path).and_then(Value::as_array);
        let now = template.pointer_mut(&path).and_then(Value::as_array_mut);
        for (container, before) in now.into_iter().flatten().zip(olds.into_iter().flatten()) {
            prepare::copy_field(container, before, "resources");
        }
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
        resources_back(&mut put_back, was.value);
    }
    if put_back != *was.value {
        errors.invalid(&now, "field is immutable");
    }
}

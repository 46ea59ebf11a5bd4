//! What a Job does about pods that fail.

use apimachinery::field::Error;
use apimachinery::{meta, names};

use crate::errors::Errors;
use crate::node::Node;

const RULES_MAX: usize = 20;
const PATTERNS_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;
const ACTIONS: &[&str] = &["Count", "FailIndex", "FailJob", "Ignore"];
const STATUSES: &[&str] = &["False", "True", "Unknown"];
const OPERATORS: &[&str] = &["In", "NotIn"];

pub fn failure(spec: &Node, errors: &mut Errors) {
    let rules = spec.at("podFailurePolicy.rules");
    errors.at_most(&rules, RULES_MAX);
    for rule in rules.items() {
        self::rule(spec, &rule, errors);
    }
}

fn rule(spec: &Node, rule: &Node, errors: &mut Errors) {
    let action = rule.at("action");
    require_one_of(&action, ACTIONS, errors);
    if action.text() == "FailIndex" && !spec.at("backoffLimitPerIndex").exists() {
        errors.invalid(&action, "requires the backoffLimitPerIndex to be set");
    }
    let (codes, conditions) = (rule.at("onExitCodes"), rule.at("onPodConditions"));
    if codes.exists() {
        exit_codes(spec, &codes, errors);
    }
    errors.at_most(&conditions, PATTERNS_MAX);
    for condition in conditions.items() {
        errors.follows(&condition.at("type"), names::qualified);
        require_one_of(&condition.at("status"), STATUSES, errors);
    }
    match (codes.exists(), conditions.is_empty()) {
        (true, false) => errors.invalid_place(
            rule,
            "specifying both OnExitCodes and OnPodConditions is not supported",
        ),
        (false, true) => errors.invalid_place(
            rule,
            "specifying one of OnExitCodes and OnPodConditions is required",
        ),
        _ => {}
    }
}

/// As `Errors::require_one_of`, with the values named where there is none.
fn require_one_of(node: &Node, values: &[&str], errors: &mut Errors) {
    let quoted: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    let why = format!("valid values: [{}]", quoted.join(" "));
    if errors.require_because(node, &why) {
        errors.one_of(node, values);
    }
}

fn exit_codes(spec: &Node, codes: &Node, errors: &mut Errors) {
    let operator = codes.at("operator");
    require_one_of(&operator, OPERATORS, errors);
    let container = codes.at("containerName");
    if container.exists() && !has_container(spec, container.text()) {
        let why = "must be one of the container or initContainer names in the pod template";
        errors.invalid(&container, why);
    }
    let values = codes.at("values");
    if values.is_empty() {
        let shown = values.value.clone();
        let why = "at least one value is required";
        errors.push(Error::invalid(&values.path, shown, why));
        return;
    }
    errors.at_most(&values, EXIT_CODES_MAX);
    let mut seen: Vec<i64> = Vec::new();
    for value in values.items() {
        let code = value.int().unwrap_or(0);
        if code == 0 && operator.text() == "In" {
            errors.invalid(&value, "must not be 0 for the In operator");
        }
        if seen.contains(&code) {
            errors.duplicate(&value);
        }
        seen.push(code);
    }
    if !seen.is_sorted() {
        errors.invalid(&values, "must be ordered");
    }
}

fn has_container(spec: &Node, name: &str) -> bool {
    ["template.spec.containers", "template.spec.initContainers"]
        .iter()
        .any(|list| {
            let mut containers = meta::items(spec.value, list).iter();
            containers.any(|container| meta::text(container, "name") == name)
        })
}

/// When a pod that fails is made up for.
pub fn replacement(spec: &Node, errors: &mut Errors) {
    let supported: &[&str] = if spec.at("podFailurePolicy").exists() {
        &["Failed"]
    } else {
        &["Failed", "TerminatingOrFailed"]
    };
    errors.one_of_if_set(&spec.at("podReplacementPolicy"), supported);
}

//! When a container is restarted, where it says so itself.

use apimachinery::field::Error;

use crate::errors::Errors;
use crate::node::Node;

const POLICIES: &[&str] = &["Always", "Never", "OnFailure"];
const RULES_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;

pub fn validate(container: &Node, errors: &mut Errors) {
    let (policy, rules) = (
        container.at("restartPolicy"),
        container.at("restartPolicyRules"),
    );
    errors.one_of_if_set(&policy, POLICIES);
    if rules.is_empty() {
        return;
    }
    if !policy.exists() {
        let why = "must specify restartPolicy when restart rules are used";
        errors.required(&policy, why);
    }
    if rules.len() > RULES_MAX {
        errors.push(Error::too_many(&rules.path, rules.len(), RULES_MAX));
    }
    for rule in rules.items() {
        errors.require_one_of(&rule.at("action"), &["Restart", "RestartAllContainers"]);
        exit_codes(&rule.at("exitCodes"), errors);
    }
}

fn exit_codes(codes: &Node, errors: &mut Errors) {
    if !codes.exists() {
        errors.required(codes, "must be specified");
        return;
    }
    errors.require_one_of(&codes.at("operator"), &["In", "NotIn"]);
    let values = codes.at("values");
    if values.is_empty() {
        errors.required(&values, "must specify at least one value");
    } else if values.len() > EXIT_CODES_MAX {
        errors.push(Error::too_many(&values.path, values.len(), EXIT_CODES_MAX));
    }
}

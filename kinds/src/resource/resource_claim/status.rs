//! What a claim was given, and who may use it.

use std::collections::HashSet;

use apimachinery::field::Error;

use super::super::requests::{Known, configuration};
use crate::errors::{Errors, Seen};
use crate::node::Node;
use crate::pod_template::csi_driver;

const USERS_MAX: usize = 256;
const RESULTS_MAX: usize = 32;
const CONFIG_MAX: usize = 64;

pub(super) fn validate(new: &Node, old: &Node, errors: &mut Errors) {
    let (status, was) = (new.at("status"), old.at("status"));
    let (users, allocation) = (status.at("reservedFor"), status.at("allocation"));
    errors.at_most(&users, USERS_MAX);
    let mut seen = Seen::new();
    for user in users.items() {
        for field in ["resource", "name", "uid"] {
            errors.require(&user.at(field));
        }
        errors.unique(&user.at("uid"), &mut seen);
    }
    if !users.is_empty() && !allocation.exists() {
        errors.forbidden(&users, "may not be specified when `allocated` is not set");
    }
    if new.at("metadata.deletionTimestamp").exists() {
        no_new_users(&users, &was.at("reservedFor"), errors);
    }
    let before = was.at("allocation");
    if allocation.exists() && before.exists() {
        errors.immutable(&allocation, &before);
    } else if allocation.exists() {
        validate_allocation(&allocation, &Known::of(&new.at("spec.devices")), errors);
    }
}

fn no_new_users(users: &Node, before: &Node, errors: &mut Errors) {
    let known: HashSet<&str> = before.items().map(|user| user.at("uid").text()).collect();
    if users
        .items()
        .any(|user| !known.contains(user.at("uid").text()))
    {
        errors.forbidden(
            users,
            "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set",
        );
    }
}

fn validate_allocation(allocation: &Node, known: &Known, errors: &mut Errors) {
    let devices = allocation.at("devices");
    let (results, config) = (devices.at("results"), devices.at("config"));
    errors.at_most(&results, RESULTS_MAX);
    for result in results.items() {
        known.check_one(&result.at("request"), errors);
        csi_driver(&result.at("driver"), errors);
        super::super::pool_name(&result.at("pool"), errors);
        errors.require_name(&result.at("device"), apimachinery::names::dns_label);
    }
    errors.at_most(&config, CONFIG_MAX);
    for config in config.items() {
        let source = config.at("source");
        errors.require_one_of(&source, &["FromClaim", "FromClass"]);
        configuration(&config, errors);
    }
    let selector = allocation.at("nodeSelector");
    if selector.exists() && selector.at("nodeSelectorTerms").is_empty() {
        let terms = selector.at("nodeSelectorTerms");
        errors.push(Error::required(
            &terms.path,
            "must have at least one node selector term",
        ));
    }
}

//! How a pod's containers resolve names.

use apimachinery::field::Error;
use apimachinery::names;

use crate::errors::Errors;
use crate::node::Node;

const POLICIES: &[&str] = &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCH_CHARS_MAX: usize = 2048;

pub fn validate(spec: &Node, errors: &mut Errors) {
    let policy = spec.at("dnsPolicy");
    errors.require_one_of(&policy, POLICIES);
    let config = spec.at("dnsConfig");
    let servers = config.at("nameservers");
    if policy.text() == "None" {
        if !config.exists() {
            let why = "must provide `dnsConfig` when `dnsPolicy` is None";
            errors.required(&config, why);
            return;
        }
        let why = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        errors.require_because(&servers, why);
    }
    if servers.len() > NAMESERVERS_MAX {
        let why = format!("must not have more than {NAMESERVERS_MAX} nameservers");
        errors.invalid(&servers, why);
    }
    for server in servers.items() {
        errors.ip(&server);
    }
    searches(&config.at("searches"), errors);
    for option in config.at("options").items() {
        errors.require_because(&option.at("name"), "must not be empty");
    }
}

fn searches(searches: &Node, errors: &mut Errors) {
    if searches.len() > SEARCHES_MAX {
        let why = format!("must not have more than {SEARCHES_MAX} search paths");
        errors.invalid(searches, why);
    }
    let total: usize = searches.items().map(|search| search.len() + 1).sum();
    if total > SEARCH_CHARS_MAX + 1 {
        let why = format!(
            "must not have more than {SEARCH_CHARS_MAX} characters (including spaces) in the search list"
        );
        errors.invalid(searches, why);
    }
    for search in searches.items() {
        if search.text() == "." {
            continue;
        }
        // A trailing dot and underscores are fine in a search path.
        let plain = search.text().trim_end_matches('.').replace('_', "a");
        for problem in names::dns_subdomain(&plain) {
            errors.push(Error::invalid(&search.path, search.text(), problem));
        }
    }
}

//! How a pod's containers resolve names.

use apimachinery::field::Error;
use apimachinery::names;

use crate::errors::Errors;
use crate::node::Node;

const POLICIES: &[&str] = &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCH_CHARS_MAX: usize = 2048;

pub fn policy(policy: &Node, errors: &mut Errors) {
    errors.require_one_of(policy, POLICIES);
}

pub fn config(spec: &Node, errors: &mut Errors) {
    let policy = spec.at("dnsPolicy");
    let config = spec.at("dnsConfig");
    let servers = config.at("nameservers");
    if policy.text() == "None" {
        if !config.exists() {
            let why = "must provide `dnsConfig` when `dnsPolicy` is None";
            errors.required(&config, why);
            return;
        }
        let why = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        if !errors.require_because(&servers, why) {
            return;
        }
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
        if option.at("name").is_empty() {
            errors.required(&option, "must not be empty");
        }
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
        let plain = search.text().strip_suffix('.').unwrap_or(search.text());
        for problem in names::subdomain_with_underscores(plain) {
            errors.push(Error::invalid(&search.path, plain, problem));
        }
    }
}

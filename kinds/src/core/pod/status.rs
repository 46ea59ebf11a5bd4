//! Rules on a pod's `/status`: what its node reports must be able to be true.

use std::net::IpAddr;

use apimachinery::field::Error;
use apimachinery::names;
use serde_json::Value;

use super::update::annotations_stay;
use crate::errors::{Errors, Seen};
use crate::node::Node;

pub fn validate(new: &Node, old: &Node, errors: &mut Errors) {
    annotations_stay(new, old, errors);
    conditions(new, errors);
    let (status, before) = (new.at("status"), old.at("status"));
    if new.at("spec.nodeName").text() != old.at("spec.nodeName").text() {
        errors.forbidden(&status.at("nodeName"), "may not be changed directly");
    }
    let nominated = status.at("nominatedNodeName");
    if nominated.text() != before.at("nominatedNodeName").text() {
        errors.follows_if_set(&nominated, names::dns_subdomain);
    }
    let class = before.at("qosClass");
    if !class.is_empty() {
        errors.immutable(&status.at("qosClass"), &class);
    }
    let spec = old.at("spec");
    for list in ["containerStatuses", "initContainerStatuses"] {
        stay_ended(&status.at(list), &before.at(list), &spec, errors);
    }
    let ephemeral = "ephemeralContainerStatuses";
    let never = serde_json::json!({"restartPolicy": "Never"});
    let (now, was) = (status.at(ephemeral), before.at(ephemeral));
    stay_ended(&now, &was, &Node::root(&never), errors);
    claims(
        &status.at("resourceClaimStatuses"),
        &new.at("spec.resourceClaims"),
        errors,
    );
    addresses(&status.at("podIPs"), errors);
    host_addresses(&status, errors);
}

const SYSTEM_CONDITIONS: [&str; 3] = ["PodScheduled", "Ready", "Initialized"];

fn conditions(pod: &Node, errors: &mut Errors) {
    // Kubernetes tells of them as if they stood in the metadata.
    let metadata = pod.at("metadata");
    let told = metadata.path.child("conditions");
    for (index, condition) in pod.at("status.conditions").items().enumerate() {
        let kind = condition.at("type").text();
        if SYSTEM_CONDITIONS.contains(&kind) {
            continue;
        }
        for problem in names::qualified(kind) {
            let at = told.index(index);
            errors.push(Error::invalid(&at.child("Type"), kind, problem));
        }
    }
}

/// A container that ended for good does not run again.
fn stay_ended(now: &Node, was: &Node, spec: &Node, errors: &mut Errors) {
    let policy = spec.at("restartPolicy").text();
    if policy == "Always" {
        return;
    }
    for (index, before) in was.items().enumerate() {
        let ended = before.at("state.terminated");
        let name = before.at("name").text();
        let failed = ended.at("exitCode").int().unwrap_or(0) != 0;
        let may_restart = failed && policy == "OnFailure";
        if !ended.exists() || may_restart || restarts_itself(name, spec) {
            continue;
        }
        let mut now_running = now.items();
        let runs = now_running
            .any(|now| now.at("name").text() == name && !now.at("state.terminated").exists());
        if runs {
            let at = now.path.index(index);
            let why = "may not be transitioned to non-terminated state";
            errors.push(Error::forbidden(&at.child("state"), why));
        }
    }
}

/// Sidecars, and containers that say for themselves when they are restarted.
fn restarts_itself(name: &str, spec: &Node) -> bool {
    ["initContainers", "containers"].iter().any(|list| {
        let list = spec.at(list);
        list.items().any(|container| {
            let policy = container.at("restartPolicy").text();
            let has_rules = !container.at("restartPolicyRules").is_empty();
            container.at("name").text() == name && (policy == "Always" || has_rules)
        })
    })
}

fn claims(statuses: &Node, of_pod: &Node, errors: &mut Errors) {
    let mut seen = Seen::new();
    for status in statuses.items() {
        let name = status.at("name");
        if !of_pod
            .items()
            .any(|claim| claim.at("name").text() == name.text())
        {
            let why = "must match the name of an entry in `spec.resourceClaims`";
            errors.invalid_text(&name, why);
        }
        errors.unique(&name, &mut seen);
        let claim = status.at("resourceClaimName");
        for problem in names::dns_subdomain(claim.text()) {
            if claim.exists() {
                errors.push(Error::invalid(&name.path, claim.text(), problem));
            }
        }
    }
}

/// Addresses, told with the list's index only; one of each family at most.
fn addresses(list: &Node, errors: &mut Errors) {
    let texts: Vec<&str> = list.items().map(|item| item.at("ip").text()).collect();
    for item in list.items() {
        let ip = Node::new(item.at("ip").value, item.path);
        errors.ip(&ip);
    }
    let families = |v6: bool| {
        let parsed = texts.iter().filter_map(|ip| ip.parse::<IpAddr>().ok());
        parsed.filter(|ip| ip.is_ipv6() == v6).count()
    };
    if families(false) > 1 || families(true) > 1 {
        let why = "may specify no more than one IP for each IP family";
        errors.invalid(list, why);
    }
    let mut seen = Seen::new();
    for item in list.items() {
        if !seen.insert(item.at("ip").text().to_owned()) {
            let shown: Value = item.value.clone();
            errors.push(Error::duplicate(&item.path, shown));
        }
    }
}

fn host_addresses(status: &Node, errors: &mut Errors) {
    let list = status.at("hostIPs");
    let Some(first) = list.items().next().map(|first| first.at("ip").text()) else {
        return;
    };
    if status.at("hostIP").text() != first {
        let at = list.path.index(0);
        let why = "must be equal to `hostIP`";
        errors.push(Error::invalid(&at.child("ip"), first, why));
    }
    addresses(&list, errors);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn errors(spec: Value, old: Value, new: Value) -> Vec<String> {
        let pod = |status| json!({"metadata": {"name": "p"}, "spec": spec, "status": status});
        let (new, old) = (pod(new), pod(old));
        let mut errors = Errors::default();
        validate(&Node::root(&new), &Node::root(&old), &mut errors);
        errors.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_container_that_ended_for_good_stays_so() {
        let ended = |code: i64| json!({"containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": code}}}]});
        let runs = json!({"containerStatuses": [{"name": "c", "state": {"running": {}}}]});
        let told = errors(json!({"restartPolicy": "Never"}), ended(1), runs.clone());
        assert_eq!(
            told,
            [
                "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"
            ]
        );
        let again = json!({"restartPolicy": "OnFailure"});
        assert_eq!(errors(again, ended(1), runs), Vec::<String>::new());
    }

    #[test]
    fn a_pod_has_one_address_of_a_family() {
        let two = json!({"podIPs": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}]});
        let told = errors(json!({}), json!({}), two);
        assert_eq!(told.len(), 1);
        assert!(told[0].ends_with("may specify no more than one IP for each IP family"));
    }
}

//! NetworkPolicy.

use apimachinery::field::Error;
use apimachinery::meta;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{self, AGE, Column, NAME};
use crate::defaults::{each, object, set_text};
use crate::errors::Errors;
use crate::kind::{Kind, Storage};
use crate::label_selector;
use crate::node::Node;
use crate::prepare;
use crate::text_cells;
use crate::warnings;

pub static KIND: Kind = Kind {
    group: "networking.k8s.io",
    kind: "NetworkPolicy",
    list_kind: "NetworkPolicyList",
    plural: "networkpolicies",
    singular: "networkpolicy",
    short_names: &["netpol"],
    storage: Storage::Stored {
        prefix: "networkpolicies",
    },
    default,
    prepare_create: prepare::new_generation,
    prepare_update: prepare::bump_on_spec,
    validate,
    validate_update: |new, _, errors| validate(new, errors),
    columns: &[
        NAME,
        Column::text("Pod-Selector", "Which pods the policy is for."),
        AGE,
    ],
    row,
    warnings: told,
    ..Kind::BASE
};

fn default(policy: &mut Value) {
    let spec = object(policy, "spec");
    for direction in ["ingress", "egress"] {
        each(spec, direction, |rule| {
            each(rule, "ports", |port| set_text(port, "protocol", "TCP"));
        });
    }
    if meta::items(spec, "policyTypes").is_empty() {
        let has_egress = !meta::items(spec, "egress").is_empty();
        spec["policyTypes"] = if has_egress {
            json!(["Ingress", "Egress"])
        } else {
            json!(["Ingress"])
        };
    }
}

fn validate(policy: &Node, errors: &mut Errors) {
    let spec = policy.at("spec");
    label_selector::validate(&spec.at("podSelector"), errors);
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for rule in spec.at(direction).items() {
            for port in rule.at("ports").items() {
                validate_port(&port, errors);
            }
            for peer in rule.at(peers).items() {
                validate_peer(&peer, errors);
            }
        }
    }
    let types = spec.at("policyTypes");
    if types.len() > 2 {
        return errors.invalid(&types, "may not specify more than two policyTypes");
    }
    for kind in types.items() {
        errors.one_of(&kind, &["Ingress", "Egress"]);
    }
}

fn validate_port(port: &Node, errors: &mut Errors) {
    errors.one_of_if_set(&port.at("protocol"), &["TCP", "UDP", "SCTP"]);
    let (number, end) = (port.at("port"), port.at("endPort"));
    if !number.exists() {
        if end.exists() {
            errors.invalid(&end, "may not be specified when `port` is not specified");
        }
    } else if number.value.is_string() {
        if end.exists() {
            errors.invalid(&end, "may not be specified when `port` is non-numeric");
        }
        errors.port_or_name(&number);
    } else {
        errors.port(&number);
        if end.exists() && end.int() < number.int() {
            let shown = number.value.clone();
            let why = "must be greater than or equal to `port`";
            errors.push(Error::invalid(&end.path, shown, why));
        }
        if end.exists() {
            errors.port(&end);
        }
    }
}

fn validate_peer(peer: &Node, errors: &mut Errors) {
    let selectors = ["podSelector", "namespaceSelector"].map(|selector| peer.at(selector));
    let block = peer.at("ipBlock");
    for selector in &selectors {
        label_selector::validate(selector, errors);
    }
    if block.exists() {
        ip_block(&block, errors);
    }
    let selects = selectors.iter().any(Node::exists);
    if !selects && !block.exists() {
        errors.required(peer, "must specify a peer");
    } else if selects && block.exists() {
        errors.forbidden(peer, "may not specify both ipBlock and another peer");
    }
}

fn ip_block(block: &Node, errors: &mut Errors) {
    let cidr = block.at("cidr");
    if !errors.require(&cidr) {
        return;
    }
    let Some(range) = errors.cidr(&cidr) else {
        return;
    };
    for except in block.at("except").items() {
        let Some(hole) = errors.cidr(&except) else {
            continue;
        };
        if !range.contains(&hole) || hole.prefix_len() <= range.prefix_len() {
            errors.invalid(&except, "must be a strict subset of `cidr`");
        }
    }
}

fn row(policy: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        columns::name(policy),
        text_cells::selector(meta::get(policy, "spec.podSelector")).into(),
        columns::age(policy, now),
    ]
}

fn told(new: &Value, old: Option<&Value>) -> Vec<String> {
    let mut told = Vec::new();
    if !warnings::is_due(new, old) {
        return told;
    }
    let policy = Node::root(new);
    let spec = policy.at("spec");
    for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
        for rule in spec.at(rules).items() {
            for peer in rule.at(peers).items() {
                let block = peer.at("ipBlock");
                warnings::cidr(&block.at("cidr"), &mut told);
                for hole in block.at("except").items() {
                    warnings::cidr(&hole, &mut told);
                }
            }
        }
    }
    told
}

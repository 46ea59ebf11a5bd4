//! The vocabulary of validation: each word looks at a node and reports what is wrong.

mod seen;

use std::net::IpAddr;

use apimachinery::field::Error;
use apimachinery::names::{self, Rule};
use apimachinery::quantity::{self, Quantity};
use serde_json::Value;

use crate::node::Node;

pub use seen::Seen;

/// Collects mistakes in the order they are found.
#[derive(Debug, Default)]
pub struct Errors(pub Vec<Error>);

impl Errors {
    /// What `rules` finds wrong with an object.
    pub fn in_object(object: &Value, rules: fn(&Node, &mut Errors)) -> Vec<Error> {
        let mut errors = Errors::default();
        rules(&Node::root(object), &mut errors);
        errors.0
    }

    pub fn push(&mut self, error: Error) {
        self.0.push(error);
    }

    pub fn invalid(&mut self, node: &Node, why: impl Into<String>) {
        self.push(Error::invalid(&node.path, node.value.clone(), why));
    }

    /// Must not be longer than `most` bytes.
    pub fn within(&mut self, node: &Node, most: usize) {
        if node.len() > most {
            self.push(Error::too_long(&node.path, most));
        }
    }

    /// Reports a place as a whole; its value says nothing.
    pub fn invalid_place(&mut self, node: &Node, why: impl Into<String>) {
        let mut error = Error::invalid(&node.path, serde_json::Value::Null, why);
        error.value = None;
        self.push(error);
    }

    /// A list or map with more than `most` things in it; false if there are more.
    pub fn at_most(&mut self, node: &Node, most: usize) -> bool {
        let good = node.len() <= most;
        if !good {
            self.push(Error::too_many(&node.path, node.len(), most));
        }
        good
    }

    /// Reports text, even if absent: `Invalid value: ""`.
    pub fn invalid_text(&mut self, node: &Node, why: impl Into<String>) {
        self.push(Error::invalid(&node.path, node.text(), why));
    }

    pub fn required(&mut self, node: &Node, why: &str) {
        self.push(Error::required(&node.path, why));
    }

    pub fn forbidden(&mut self, node: &Node, why: impl Into<String>) {
        self.push(Error::forbidden(&node.path, why));
    }

    pub fn duplicate(&mut self, node: &Node) {
        self.push(Error::duplicate(&node.path, node.value.clone()));
    }

    pub fn not_found(&mut self, node: &Node) {
        self.push(Error::not_found(&node.path, node.value.clone()));
    }

    // Words that look first. Those that return bool say whether all was well.

    /// Must have content.
    pub fn require(&mut self, node: &Node) -> bool {
        self.require_because(node, "")
    }

    pub fn require_because(&mut self, node: &Node, why: &str) -> bool {
        let missing = node.is_empty();
        if missing {
            self.required(node, why);
        }
        !missing
    }

    /// Must be absent.
    pub fn forbid(&mut self, node: &Node, why: &str) {
        if node.exists() {
            self.forbidden(node, why);
        }
    }

    /// Must be one of these texts.
    pub fn one_of(&mut self, node: &Node, supported: &[&str]) -> bool {
        let good = supported.contains(&node.text());
        if !good {
            self.push(Error::not_supported(&node.path, node.text(), supported));
        }
        good
    }

    /// Must be one of these texts, if there at all.
    pub fn one_of_if_set(&mut self, node: &Node, supported: &[&str]) {
        if node.exists() {
            self.one_of(node, supported);
        }
    }

    /// Must be there and one of these texts.
    pub fn require_one_of(&mut self, node: &Node, supported: &[&str]) -> bool {
        self.require(node) && self.one_of(node, supported)
    }

    pub fn at_least(&mut self, node: &Node, least: i64) -> bool {
        let good = node.int().is_none_or(|value| value >= least);
        if !good {
            self.invalid(node, format!("must be greater than or equal to {least}"));
        }
        good
    }

    pub fn not_negative(&mut self, node: &Node) -> bool {
        self.at_least(node, 0)
    }

    pub fn in_range(&mut self, node: &Node, least: i64, most: i64) -> bool {
        let good = node
            .int()
            .is_none_or(|value| (least..=most).contains(&value));
        if !good {
            self.invalid(
                node,
                format!("must be between {least} and {most}, inclusive"),
            );
        }
        good
    }

    /// Must follow a rule on names.
    pub fn follows(&mut self, node: &Node, rule: Rule) -> bool {
        let problems = rule(node.text());
        let good = problems.is_empty();
        for problem in problems {
            self.invalid_text(node, problem);
        }
        good
    }

    /// Must be there and follow a rule.
    pub fn require_name(&mut self, node: &Node, rule: Rule) -> bool {
        self.require(node) && self.follows(node, rule)
    }

    pub fn follows_if_set(&mut self, node: &Node, rule: Rule) {
        if !node.is_empty() {
            self.follows(node, rule);
        }
    }

    /// A port number.
    pub fn port(&mut self, node: &Node) {
        for problem in names::port_number(node.int().unwrap_or(0)) {
            let value = node.int().unwrap_or(0);
            self.push(Error::invalid(&node.path, value, problem));
        }
    }

    /// A port number or a port's name.
    pub fn port_or_name(&mut self, node: &Node) {
        if node.value.is_string() {
            self.follows(node, names::port_name);
        } else {
            self.port(node);
        }
    }

    /// Must not change.
    pub fn immutable(&mut self, new: &Node, old: &Node) -> bool {
        let same = new.value == old.value;
        if !same {
            self.invalid(new, "field is immutable");
        }
        same
    }

    /// Must not be there twice in a list; `seen` lives as long as the list is walked.
    pub fn unique(&mut self, node: &Node, seen: &mut Seen) -> bool {
        let fresh = seen.insert(node.text().to_owned());
        if !fresh {
            self.duplicate(node);
        }
        fresh
    }

    /// Must be an amount that is not below zero.
    pub fn amount(&mut self, node: &Node) -> Option<Quantity> {
        match Quantity::from_json(node.value) {
            Ok(amount) if amount.is_negative() => {
                let shown = amount.to_string();
                let why = "must be greater than or equal to 0";
                self.push(Error::invalid(&node.path, shown, why));
                None
            }
            Ok(amount) => Some(amount),
            Err(error) => {
                self.not_an_amount(node, error);
                None
            }
        }
    }

    fn not_an_amount(&mut self, node: &Node, error: quantity::Error) {
        self.invalid(node, error.to_string());
    }
}

/// Rules on texts that several kinds share.
impl Errors {
    /// Must be an IP address.
    pub fn ip(&mut self, node: &Node) -> bool {
        let good = node.text().parse::<IpAddr>().is_ok();
        if !good {
            let why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            self.invalid_text(node, why);
        }
        good
    }

    /// Must be an address range.
    pub fn cidr(&mut self, node: &Node) -> Option<ipnet::IpNet> {
        let parsed = node.text().parse::<ipnet::IpNet>().ok();
        if parsed.is_none() {
            let why = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
            self.invalid_text(node, why);
        }
        parsed
    }

    /// Must be someone's domain and a path in it: `example.com/thing`.
    pub fn domain_prefixed_path(&mut self, node: &Node) {
        if !self.require(node) {
            return;
        }
        let parts = node.text().split_once('/');
        let Some((domain, path)) = parts.filter(|(a, b)| !a.is_empty() && !b.is_empty()) else {
            let why = "must be a domain-prefixed path (such as \"acme.io/foo\")";
            return self.invalid(node, why);
        };
        for problem in names::dns_subdomain(domain) {
            self.push(Error::invalid(&node.path, domain, problem));
        }
        let good = |b: u8| b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&b);
        if !path.bytes().all(good) {
            let why =
                "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')";
            self.push(Error::invalid(&node.path, path, why));
        }
    }

    /// Must stay below where it starts.
    pub fn local_descending_path(&mut self, node: &Node) {
        if node.text().starts_with('/') {
            self.invalid(node, "must be a relative path");
        }
        self.no_backsteps(node);
    }

    pub fn no_backsteps(&mut self, node: &Node) {
        if node.text().split('/').any(|part| part == "..") {
            self.invalid(node, "must not contain '..'");
        }
    }

    /// Must be a relative path that does not start with `..`.
    pub fn local_non_reserved_path(&mut self, node: &Node) {
        self.local_descending_path(node);
        let first = node.text();
        if first.starts_with("..") && !first.starts_with("../") {
            self.invalid(node, "must not start with '..'");
        }
    }
}

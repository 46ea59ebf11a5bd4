//! Requests, limits and what may be counted.

use apimachinery::field::Error;
use apimachinery::names;
use apimachinery::quantity::Quantity;

use crate::errors::{Errors, Seen};
use crate::node::Node;

const STANDARD: &[&str] = &["cpu", "memory", "ephemeral-storage"];

/// `requests` and `limits` of a container.
pub fn resources(resources: &Node, errors: &mut Errors) {
    let (limits, requests) = (resources.at("limits"), resources.at("requests"));
    for (name, limit) in limits.entries() {
        container_resource(name, &limit, errors);
    }
    for (name, request) in requests.entries() {
        container_resource(name, &request, errors);
        compare(name, &request, &requests, &limits, errors);
    }
    huge_pages_need_company(&limits, &requests, resources, errors);
    claims(&resources.at("claims"), errors);
}

fn container_resource(name: &str, amount: &Node, errors: &mut Errors) {
    resource_name(name, amount, errors);
    amount_of(name, amount, errors);
}

fn resource_name(name: &str, amount: &Node, errors: &mut Errors) {
    for problem in names::qualified(name) {
        errors.push(Error::invalid(&amount.path, name, problem));
    }
    let standard = STANDARD.contains(&name) || is_huge_page(name);
    if !name.contains('/') && !standard {
        let why = "must be a standard resource for containers";
        errors.push(Error::invalid(&amount.path, name, why));
    } else if name.starts_with("requests.") {
        let why = "must be a standard resource type or fully qualified";
        errors.push(Error::invalid(&amount.path, name, why));
    }
}

fn is_huge_page(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// Resources of other names than Kubernetes' own come whole.
fn is_whole(name: &str) -> bool {
    !STANDARD.contains(&name) && !is_huge_page(name)
}

fn amount_of(name: &str, node: &Node, errors: &mut Errors) {
    if let Some(amount) = errors.amount(node)
        && is_whole(name)
        && !amount.is_multiple_of_unit(1)
    {
        errors.push(Error::invalid(
            &node.path,
            amount.to_string(),
            "must be an integer",
        ));
    }
}

fn compare(name: &str, request: &Node, requests: &Node, limits: &Node, errors: &mut Errors) {
    let Ok(amount) = Quantity::from_json(request.value) else {
        return;
    };
    let limit = limits.map().and_then(|limits| limits.get(name));
    let Some(limit) = limit.and_then(|limit| Quantity::from_json(limit).ok()) else {
        if is_whole(name) || is_huge_page(name) {
            let why = "Limit must be set for non overcommitable resources";
            errors.push(Error::required(&limits.path, why));
        }
        return;
    };
    let text = amount.to_string();
    if (is_whole(name) || is_huge_page(name)) && amount != limit {
        let why = format!("must be equal to {name} limit of {limit}");
        errors.push(Error::invalid(&requests.path, text, why));
    } else if amount > limit {
        let why = format!("must be less than or equal to {name} limit of {limit}");
        errors.push(Error::invalid(&requests.path, text, why));
    }
}

fn huge_pages_need_company(limits: &Node, requests: &Node, at: &Node, errors: &mut Errors) {
    let has = |rule: fn(&str) -> bool| {
        let maps = [limits.map(), requests.map()];
        maps.into_iter()
            .flatten()
            .any(|map| map.keys().any(|key| rule(key)))
    };
    if has(is_huge_page) && !has(|name| matches!(name, "cpu" | "memory")) {
        errors.forbidden(at, "HugePages require cpu or memory");
    }
}

fn claims(claims: &Node, errors: &mut Errors) {
    let mut seen = Seen::new();
    for claim in claims.items() {
        let name = claim.at("name");
        if errors.require(&name) {
            let key = format!("{}/{}", name.text(), claim.at("request").text());
            if !seen.insert(key) {
                errors.duplicate(&name);
            }
        }
    }
}

/// `spec.resources`: only these three kinds of thing.
pub fn pod_level(resources: &Node, errors: &mut Errors) {
    if !resources.exists() {
        return;
    }
    self::resources(resources, errors);
    for list in ["limits", "requests"] {
        for (name, amount) in resources.at(list).entries() {
            if name != "cpu" && name != "memory" && !is_huge_page(name) {
                errors.push(Error::not_supported(
                    &amount.path,
                    name,
                    &["cpu", "hugepages-", "memory"],
                ));
            }
        }
    }
}

pub fn overhead(overhead: &Node, errors: &mut Errors) {
    for (name, amount) in overhead.entries() {
        container_resource(name, &amount, errors);
    }
}

/// What a `resourceFieldRef` may be divided by.
pub fn divisor(divisor: &Node, resource: &str, errors: &mut Errors) {
    let Ok(amount) = Quantity::from_json(divisor.value) else {
        return;
    };
    if amount.is_zero() {
        return;
    }
    let text = amount.to_string();
    let (units, why): (&[&str], _) = if resource.ends_with(".cpu") {
        (
            &["1", "1m"],
            "only divisor's values 1m and 1 are supported with the cpu resource",
        )
    } else {
        (
            &[
                "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei",
            ],
            "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the memory resource",
        )
    };
    if !units.contains(&text.as_str()) {
        errors.push(Error::invalid(&divisor.path, text, why));
    }
}

//! Requests, limits and what may be counted.

use std::collections::HashSet;

use apimachinery::field::Error;
use apimachinery::names;
use apimachinery::quantity::Quantity;

use super::spec::Around;
use crate::errors::Errors;
use crate::node::Node;
use crate::resource_names as known;

/// Which resources may be asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Container,
    Pod,
}

/// `requests` and `limits` of a container.
pub fn of_container(resources: &Node, around: &Around, errors: &mut Errors) {
    amounts(resources, Level::Container, errors);
    claims(&resources.at("claims"), &around.claims, errors);
}

fn amounts(resources: &Node, level: Level, errors: &mut Errors) {
    let (limits, requests) = (resources.at("limits"), resources.at("requests"));
    for (name, limit) in limits.entries() {
        one(name, &limit, level, errors);
    }
    for (name, request) in requests.entries() {
        one(name, &request, level, errors);
        compare(name, &request, &requests, &limits, errors);
    }
    huge_pages_need_company(&limits, &requests, resources, errors);
}

fn one(name: &str, amount: &Node, level: Level, errors: &mut Errors) {
    match level {
        Level::Container => container_resource_name(name, amount, errors),
        Level::Pod => pod_resource_name(name, amount, errors),
    }
    amount_of(name, amount, errors);
    huge_page_size(name, amount, errors);
}

/// A name for anything that can be counted; false if it is wrong.
pub fn resource_name(name: &str, at: &Node, errors: &mut Errors) -> bool {
    let problems = names::qualified(name);
    if !problems.is_empty() {
        for problem in problems {
            errors.push(Error::invalid(&at.path, name, problem));
        }
        return false;
    }
    let good = name.contains('/') || known::is_standard(name);
    if !good {
        let why = "must be a standard resource type or fully qualified";
        errors.push(Error::invalid(&at.path, name, why));
    }
    good
}

pub fn container_resource_name(name: &str, at: &Node, errors: &mut Errors) {
    resource_name(name, at, errors);
    if !name.contains('/') {
        if !known::is_standard_for_containers(name) {
            let why = "must be a standard resource for containers";
            errors.push(Error::invalid(&at.path, name, why));
        }
    } else if !known::is_native(name) && !known::is_extended(name) {
        let why = "doesn't follow extended resource name standard";
        errors.push(Error::invalid(&at.path, name, why));
    }
}

fn pod_resource_name(name: &str, at: &Node, errors: &mut Errors) {
    let fits = matches!(name, "cpu" | "memory") || known::is_huge_page(name);
    if resource_name(name, at, errors) && !fits {
        let supported = &["cpu", "hugepages-", "memory"];
        errors.push(Error::not_supported(&at.path, name, supported));
    }
}

/// An amount that is not negative, and whole where the resource is.
pub fn amount_of(name: &str, node: &Node, errors: &mut Errors) {
    if let Some(amount) = errors.amount(node)
        && known::is_whole(name)
        && !amount.is_multiple_of_unit(1)
    {
        errors.push(Error::invalid(
            &node.path,
            amount.to_string(),
            "must be an integer",
        ));
    }
}

/// Huge pages come in whole pages.
fn huge_page_size(name: &str, node: &Node, errors: &mut Errors) {
    let Some(size) = name.strip_prefix(known::HUGE_PAGES) else {
        return;
    };
    let size = Quantity::from_json(&size.into()).map_or(0, Quantity::value);
    let Ok(amount) = Quantity::from_json(node.value) else {
        return;
    };
    if size <= 0 || amount.value() % size != 0 {
        let why = format!("{amount} is not positive integer multiple of {name}");
        errors.push(Error::invalid(&node.path, amount.to_string(), why));
    }
}

fn compare(name: &str, request: &Node, requests: &Node, limits: &Node, errors: &mut Errors) {
    let Ok(amount) = Quantity::from_json(request.value) else {
        return;
    };
    let limit = limits.map().and_then(|limits| limits.get(name));
    let Some(limit) = limit.and_then(|limit| Quantity::from_json(limit).ok()) else {
        if !known::may_be_overcommitted(name) {
            let why = "Limit must be set for non overcommitable resources";
            errors.push(Error::required(&limits.path, why));
        }
        return;
    };
    if !known::may_be_overcommitted(name) && amount != limit {
        let why = format!("must be equal to {name} limit of {limit}");
        errors.push(Error::invalid(&requests.path, amount.to_string(), why));
    } else if amount > limit {
        let why = format!("must be less than or equal to {name} limit of {limit}");
        errors.push(Error::invalid(&requests.path, amount.to_string(), why));
    }
}

fn huge_pages_need_company(limits: &Node, requests: &Node, at: &Node, errors: &mut Errors) {
    let has = |rule: fn(&str) -> bool| {
        let maps = [limits.map(), requests.map()];
        maps.into_iter()
            .flatten()
            .any(|map| map.keys().any(|key| rule(key)))
    };
    if has(known::is_huge_page) && !has(|name| matches!(name, "cpu" | "memory")) {
        errors.forbidden(at, "HugePages require cpu or memory");
    }
}

/// A claim is named once, whole or request by request, and is one of the pod's.
fn claims(claims: &Node, of_pod: &[&str], errors: &mut Errors) {
    let mut seen: HashSet<(&str, &str)> = HashSet::new();
    for claim in claims.items() {
        let (name, request) = (claim.at("name").text(), claim.at("request"));
        if name.is_empty() {
            errors.required(&claim, "");
            continue;
        }
        errors.follows_if_set(&request, names::dns_label);
        let pair = (name, request.text());
        let overlaps = |seen: &(&str, &str)| {
            seen.0 == name && (seen.1.is_empty() || pair.1.is_empty() || seen.1 == pair.1)
        };
        if seen.iter().any(overlaps) {
            let twice = seen.contains(&(name, "")) || pair.1.is_empty();
            let shown = match pair.1 {
                request if !twice => format!("{name}/{request}"),
                _ => name.to_owned(),
            };
            errors.push(Error::duplicate(&claim.path, shown));
        }
        seen.insert(pair);
        if !of_pod.contains(&name) {
            errors.push(unknown_claim(&claim, name, of_pod));
        }
    }
}

fn unknown_claim(claim: &Node, name: &str, of_pod: &[&str]) -> Error {
    let mut error = Error::not_found(&claim.path, name);
    let mut known = of_pod.to_vec();
    known.sort_unstable();
    let listed = if known.is_empty() {
        " which is empty".to_owned()
    } else {
        format!(": {}", known.join(", "))
    };
    error.detail = format!("must be one of the names in pod.spec.resourceClaims{listed}");
    error
}

/// `spec.resources`: what all containers have together.
pub fn pod_level(spec: &Node, around: &Around, errors: &mut Errors) {
    let resources = spec.at("resources");
    if !resources.exists() {
        return;
    }
    if resources.at("claims").exists() {
        let why = "claims cannot be set for Resources at pod-level";
        errors.forbidden(&resources.at("claims"), why);
    }
    amounts(&resources, Level::Pod, errors);
    claims(&resources.at("claims"), &around.claims, errors);
    containers_fit(spec, &resources, errors);
}

/// No container asks for more than its pod; together they ask for no more either.
fn containers_fit(spec: &Node, resources: &Node, errors: &mut Errors) {
    let amount = |node: &Node, list: &str, name: &str| {
        let amounts = node.at(list);
        let amount = amounts.map().and_then(|amounts| amounts.get(name));
        amount.and_then(|amount| Quantity::from_json(amount).ok())
    };
    let requests = resources.at("requests");
    for (name, sum) in crate::pod_template::sums::requests(spec.value) {
        let of_pod = amount(resources, "requests", &name).unwrap_or_default();
        if sum > of_pod {
            let why =
                format!("must be greater than or equal to aggregate container requests of {sum}");
            let path = requests.path.key(&name);
            errors.push(Error::invalid(&path, of_pod.to_string(), why));
        }
    }
    for (index, container) in spec.at("containers").items().enumerate() {
        let limits = container.at("resources.limits");
        for (name, limit) in limits.entries() {
            let limit = Quantity::from_json(limit.value).unwrap_or_default();
            let Some(of_pod) = amount(resources, "limits", name).filter(|most| limit > *most)
            else {
                continue;
            };
            let containers = resources.path.child("containers");
            let container = containers.index(index);
            let named = container.key(name);
            let why = format!("must be less than or equal to pod limits of {of_pod}");
            let path = named.child("limits");
            errors.push(Error::invalid(&path, limit.to_string(), why));
        }
    }
}

/// What a pod needs beside its containers: checked as limits are.
pub fn overhead(overhead: &Node, around: &Around, errors: &mut Errors) {
    if !overhead.exists() {
        return;
    }
    let limits = serde_json::json!({"limits": overhead.value});
    let told = Node::new(&limits, overhead.path);
    of_container(&told, around, errors);
}

/// What a `resourceFieldRef` may be divided by.
pub fn divisor(divisor: &Node, resource: &str, errors: &mut Errors) {
    const BYTES: [&str; 13] = [
        "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei",
    ];
    let Ok(amount) = Quantity::from_json(divisor.value) else {
        return;
    };
    let (_, kind) = resource.split_once('.').unwrap_or_default();
    let (units, word): (&[&str], _) = match kind {
        "cpu" => (&["1m", "1"], "cpu"),
        "memory" => (&BYTES, "memory"),
        "ephemeral-storage" => (&BYTES, "local ephemeral storage"),
        _ if kind.starts_with(known::HUGE_PAGES) => (&BYTES, "hugepages"),
        _ => return,
    };
    if amount.is_zero() || units.contains(&amount.to_string().as_str()) {
        return;
    }
    let listed = if word == "cpu" {
        "1m and 1".to_owned()
    } else {
        BYTES.join(", ")
    };
    let why = format!("only divisor's values {listed} are supported with the {word} resource");
    errors.push(Error::invalid(&divisor.path, resource, why));
}

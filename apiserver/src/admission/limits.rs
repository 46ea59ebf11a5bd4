//! LimitRanges: what containers get when they ask for nothing, and may ask at most.

use apimachinery::{Quantity, Status, meta};
use serde_json::Value;

use super::Admission;
use crate::registry::Registry;

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

impl Admission {
    pub(super) fn add_limits(
        &self,
        registry: &Registry<'_>,
        pod: &mut Value,
    ) -> Result<(), Status> {
        let ranges = self.limit_ranges.of(registry.namespace.unwrap_or(""));
        if ranges.is_empty() {
            return Ok(());
        }
        for range in &ranges {
            fill_pod(pod, range);
        }
        let broken: Vec<String> = ranges
            .iter()
            .flat_map(|range| check_pod(pod, range))
            .collect();
        if broken.is_empty() {
            return Ok(());
        }
        let why = if broken.len() == 1 {
            broken[0].clone()
        } else {
            format!("[{}]", broken.join(", "))
        };
        Err(Status::forbidden(
            registry.resource(),
            meta::name(pod),
            &why,
        ))
    }
}

fn items<'a>(range: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    meta::items(range, "spec.limits")
        .iter()
        .filter(move |item| item["type"] == kind)
}

fn fill_pod(pod: &mut Value, range: &Value) {
    let mut notes = Vec::new();
    for (list, what) in [
        ("containers", "container"),
        ("initContainers", "init container"),
    ] {
        let containers = pod["spec"].get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            for item in items(range, "Container") {
                fill(container, what, item, &mut notes);
            }
        }
    }
    if !notes.is_empty() {
        let text = format!("LimitRanger plugin set: {}", notes.join("; "));
        meta::set_annotation(pod, ANNOTATION, &text);
    }
}

fn fill(container: &mut Value, what: &str, item: &Value, notes: &mut Vec<String>) {
    let name = container["name"].as_str().unwrap_or("").to_owned();
    for (source, target, word) in [
        ("defaultRequest", "requests", "request"),
        ("default", "limits", "limit"),
    ] {
        let mut set = Vec::new();
        for (resource, amount) in meta::map(item, source).into_iter().flatten() {
            let resources = meta::entry(container, "resources");
            let has = |list: &str| resources[list].get(resource).is_some();
            // A limit without a request is the request too.
            if has(target) || target == "requests" && has("limits") {
                continue;
            }
            meta::entry(resources, target)[resource.as_str()] = amount.clone();
            set.push(resource.clone());
        }
        if !set.is_empty() {
            notes.push(format!("{} {word} for {what} {name}", set.join(", ")));
        }
    }
}

fn check_pod(pod: &Value, range: &Value) -> Vec<String> {
    let mut broken = Vec::new();
    let lists = ["containers", "initContainers"];
    let containers: Vec<&Value> = lists
        .iter()
        .flat_map(|l| meta::items(&pod["spec"], l))
        .collect();
    for item in items(range, "Container") {
        for container in &containers {
            let amount =
                |list: &str, resource: &str| quantity(&container["resources"][list][resource]);
            broken.extend(check_bounds(item, "Container", &amount));
        }
    }
    for item in items(range, "Pod") {
        let amount = |list: &str, resource: &str| total(pod, list, resource);
        broken.extend(check_bounds(item, "Pod", &amount));
    }
    broken
}

/// All containers together; None when one of them asks for nothing.
fn total(pod: &Value, list: &str, resource: &str) -> Option<Quantity> {
    let mut sum: Option<Quantity> = None;
    for container in meta::items(pod, "spec.containers") {
        let one = quantity(&container["resources"][list][resource])?;
        match &mut sum {
            Some(sum) => *sum += one,
            None => sum = Some(one),
        }
    }
    sum
}

fn quantity(value: &Value) -> Option<Quantity> {
    if value.is_null() {
        None
    } else {
        Quantity::from_json(value).ok()
    }
}

fn check_bounds(
    item: &Value,
    kind: &str,
    amount: &dyn Fn(&str, &str) -> Option<Quantity>,
) -> Vec<String> {
    let mut broken = Vec::new();
    for (resource, bound) in meta::map(item, "min").into_iter().flatten() {
        let Some(min) = quantity(bound) else { continue };
        match amount("requests", resource) {
            None => broken.push(format!(
                "minimum {resource} usage per {kind} is {min}.  No request is specified"
            )),
            Some(asked) if asked < min => {
                broken.push(format!(
                    "minimum {resource} usage per {kind} is {min}, but request is {asked}"
                ));
            }
            Some(_) => {}
        }
    }
    for (resource, bound) in meta::map(item, "max").into_iter().flatten() {
        let Some(max) = quantity(bound) else { continue };
        match amount("limits", resource) {
            None => broken.push(format!(
                "maximum {resource} usage per {kind} is {max}.  No limit is specified"
            )),
            Some(asked) if asked > max => {
                broken.push(format!(
                    "maximum {resource} usage per {kind} is {max}, but limit is {asked}"
                ));
            }
            Some(_) => {}
        }
    }
    broken
}

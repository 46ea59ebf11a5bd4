//! LimitRanges: what containers get when they ask for nothing, and may ask at most.

use apimachinery::{Quantity, Status, meta};
use serde_json::Value;

use super::{Admission, refusal};
use crate::registry::Registry;

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

impl Admission {
    pub(super) fn add_limits(
        &self,
        registry: &Registry<'_>,
        pod: &mut Value,
    ) -> Result<(), Status> {
        let ranges = self.limit_ranges.of(registry.namespace.unwrap_or(""));
        for range in &ranges {
            fill_pod(pod, range);
        }
        let broken = ranges.iter().flat_map(|range| check_pod(pod, range));
        refuse(registry, pod, broken.collect())
    }

    /// A pod whose containers' resources change stays within the bounds.
    pub(super) fn check_resize(&self, registry: &Registry<'_>, pod: &Value) -> Result<(), Status> {
        let ranges = self.limit_ranges.of(registry.namespace.unwrap_or(""));
        let broken = ranges.iter().flat_map(|range| check_pod(pod, range));
        refuse(registry, pod, broken.collect())
    }

    pub(super) fn check_claim_limits(
        &self,
        registry: &Registry<'_>,
        claim: &Value,
    ) -> Result<(), Status> {
        let ranges = self.limit_ranges.of(registry.namespace.unwrap_or(""));
        let broken = ranges.iter().flat_map(|range| check_claim(claim, range));
        refuse(registry, claim, broken.collect())
    }
}

fn refuse(registry: &Registry<'_>, object: &Value, broken: Vec<String>) -> Result<(), Status> {
    match broken.as_slice() {
        [] => Ok(()),
        [one] => Err(refusal(registry, object, one)),
        several => {
            let why = format!("[{}]", several.join(", "));
            Err(refusal(registry, object, &why))
        }
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
    for (resource, min) in bounds(item, "min") {
        let (request, limit) = (amount("requests", resource), amount("limits", resource));
        let is = format!("minimum {resource} usage per {kind} is {min}");
        match (request, limit) {
            (None, _) => broken.push(format!("{is}.  No request is specified")),
            (Some(asked), _) if asked < min => {
                broken.push(format!("{is}, but request is {asked}"));
            }
            (_, Some(limit)) if limit < min => broken.push(format!("{is}, but limit is {limit}")),
            _ => {}
        }
    }
    for (resource, max) in bounds(item, "max") {
        let (request, limit) = (amount("requests", resource), amount("limits", resource));
        let is = format!("maximum {resource} usage per {kind} is {max}");
        match (request, limit) {
            (_, None) => broken.push(format!("{is}.  No limit is specified")),
            (_, Some(limit)) if limit > max => broken.push(format!("{is}, but limit is {limit}")),
            (Some(asked), _) if asked > max => {
                broken.push(format!("{is}, but request is {asked}"));
            }
            _ => {}
        }
    }
    for (resource, ratio) in bounds(item, "maxLimitRequestRatio") {
        let (request, limit) = (amount("requests", resource), amount("limits", resource));
        broken.extend(check_ratio(kind, resource, ratio, request, limit));
    }
    broken
}

fn bounds<'a>(item: &'a Value, which: &str) -> impl Iterator<Item = (&'a String, Quantity)> {
    let all = meta::map(item, which).into_iter().flatten();
    all.filter_map(|(resource, bound)| Some((resource, quantity(bound)?)))
}

fn check_ratio(
    kind: &str,
    resource: &str,
    most: Quantity,
    request: Option<Quantity>,
    limit: Option<Quantity>,
) -> Option<String> {
    let is = format!("{resource} max limit to request ratio per {kind} is {most}");
    let zero = Quantity::from_milli(0);
    let Some(request) = request.filter(|request| *request != zero) else {
        return Some(format!("{is}, but no request is specified or request is 0"));
    };
    let Some(limit) = limit.filter(|limit| *limit != zero) else {
        return Some(format!("{is}, but no limit is specified or limit is 0"));
    };
    let ratio = limit.as_f64() / request.as_f64();
    (ratio > most.as_f64()).then(|| format!("{is}, but provided ratio is {ratio:.6}"))
}

/// What a claim may ask for.
fn check_claim(claim: &Value, range: &Value) -> Vec<String> {
    const KIND: &str = "PersistentVolumeClaim";
    let asked = |resource: &str| quantity(&claim["spec"]["resources"]["requests"][resource]);
    let mut broken = Vec::new();
    for item in items(range, KIND) {
        for (resource, min) in bounds(item, "min") {
            let is = format!("minimum {resource} usage per {KIND} is {min}");
            match asked(resource) {
                None => broken.push(format!("{is}.  No request is specified")),
                Some(asked) if asked < min => {
                    broken.push(format!("{is}, but request is {asked}"));
                }
                Some(_) => {}
            }
        }
        for (resource, max) in bounds(item, "max") {
            let is = format!("maximum {resource} usage per {KIND} is {max}");
            match asked(resource) {
                None => broken.push(format!("{is}.  No request is specified")),
                Some(asked) if asked > max => {
                    broken.push(format!("{is}, but request is {asked}"));
                }
                Some(_) => {}
            }
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn broken(item: &Value, resources: &Value) -> Vec<String> {
        let amount = |list: &str, resource: &str| quantity(&resources[list][resource]);
        check_bounds(item, "Container", &amount)
    }

    #[test]
    fn a_limit_under_the_least_and_a_request_over_the_most_are_refused() {
        let item = json!({ "min": { "cpu": "100m" }, "max": { "cpu": "1" } });
        let low = json!({ "requests": { "cpu": "100m" }, "limits": { "cpu": "50m" } });
        assert_eq!(
            broken(&item, &low),
            ["minimum cpu usage per Container is 100m, but limit is 50m"]
        );
        let high = json!({ "requests": { "cpu": "2" }, "limits": { "cpu": "1" } });
        assert_eq!(
            broken(&item, &high),
            ["maximum cpu usage per Container is 1, but request is 2"]
        );
    }

    #[test]
    fn a_limit_may_be_so_many_times_the_request() {
        let item = json!({ "maxLimitRequestRatio": { "memory": "2" } });
        let fits = json!({ "requests": { "memory": "1Gi" }, "limits": { "memory": "2Gi" } });
        assert!(broken(&item, &fits).is_empty());
        let wide = json!({ "requests": { "memory": "1Gi" }, "limits": { "memory": "3Gi" } });
        assert_eq!(
            broken(&item, &wide),
            [
                "memory max limit to request ratio per Container is 2, but provided ratio is 3.000000"
            ]
        );
        assert_eq!(
            broken(&item, &json!({ "limits": { "memory": "3Gi" } })),
            [
                "memory max limit to request ratio per Container is 2, but no request is specified or request is 0"
            ]
        );
    }

    #[test]
    fn a_claim_has_its_own_bounds() {
        let range = json!({ "spec": { "limits": [
            { "type": "PersistentVolumeClaim", "min": { "storage": "1Gi" }, "max": { "storage": "2Gi" } }] } });
        let claim =
            |size: &str| json!({ "spec": { "resources": { "requests": { "storage": size } } } });
        assert!(check_claim(&claim("1Gi"), &range).is_empty());
        assert_eq!(
            check_claim(&claim("3Gi"), &range),
            ["maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi"]
        );
    }
}

//! LimitRanges: what containers get when they ask for nothing, and may ask at most.

use std::collections::BTreeMap;

use apimachinery::{Quantity, Status, meta};
use serde_json::Value;

use super::{Admission, refusal};
use crate::registry::Registry;

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

/// Of each resource, how much.
type Amounts = BTreeMap<String, Quantity>;

impl Admission {
    /// Gives what nobody asked for. That it is not too much is checked later:
    /// webhooks come between.
    pub(super) fn add_limits(&self, registry: &Registry<'_>, pod: &mut Value) {
        for range in &self.limit_ranges.of(registry.namespace.unwrap_or("")) {
            fill_pod(pod, range);
        }
    }

    /// A pod that is new, or whose containers' resources change, is within the bounds.
    pub(super) fn check_pod_limits(
        &self,
        registry: &Registry<'_>,
        pod: &Value,
    ) -> Result<(), Status> {
        let ranges = self.limit_ranges.of(registry.namespace.unwrap_or(""));
        let broken = ranges.iter().flat_map(|range| check_pod(pod, range));
        refuse(registry, pod, broken.collect())
    }

    /// `old` is null where the claim is new.
    pub(super) fn check_claim_limits(
        &self,
        registry: &Registry<'_>,
        claim: &Value,
        old: &Value,
    ) -> Result<(), Status> {
        // What is on its way out must still be able to lose its finalizers.
        if meta::deletion_timestamp(old).is_some() {
            return Ok(());
        }
        let ranges = self.limit_ranges.of(registry.namespace.unwrap_or(""));
        let broken = ranges
            .iter()
            .flat_map(|range| check_claim(claim, old, range));
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
    let (requests, limits) = (totals(pod, "requests"), totals(pod, "limits"));
    for item in items(range, "Pod") {
        let amount = |list: &str, resource: &str| {
            let sums = if list == "limits" { &limits } else { &requests };
            sums.get(resource).copied()
        };
        broken.extend(check_bounds(item, "Pod", &amount));
    }
    broken
}

/// What the pod asks for: containers and sidecars together, or an init container
/// beside the sidecars before it where that is more; and the pod's own word for
/// the whole of it. What no container names is absent; who names none adds none.
pub fn totals(pod: &Value, list: &str) -> Amounts {
    let mut sums = Amounts::new();
    for container in meta::items(pod, "spec.containers") {
        add(&mut sums, amounts(container, list));
    }
    let (mut sidecars, mut alone) = (Amounts::new(), Amounts::new());
    for container in meta::items(pod, "spec.initContainers") {
        let mut now = amounts(container, list);
        if meta::text(container, "restartPolicy") == "Always" {
            add(&mut sums, now.clone());
            add(&mut sidecars, now);
            now = sidecars.clone();
        } else {
            add(&mut now, sidecars.clone());
        }
        raise(&mut alone, now);
    }
    raise(&mut sums, alone);
    sums.extend(amounts(&pod["spec"], list));
    sums
}

fn add(sums: &mut Amounts, amounts: Amounts) {
    for (name, amount) in amounts {
        *sums.entry(name).or_default() += amount;
    }
}

fn raise(sums: &mut Amounts, amounts: Amounts) {
    for (name, amount) in amounts {
        let most = sums.entry(name).or_insert(amount);
        *most = (*most).max(amount);
    }
}

pub fn amounts(container: &Value, list: &str) -> Amounts {
    quantities(&container["resources"][list])
}

pub fn quantities(amounts: &Value) -> Amounts {
    let amounts = amounts.as_object().into_iter().flatten();
    amounts
        .filter_map(|(name, amount)| Some((name.clone(), Quantity::from_json(amount).ok()?)))
        .collect()
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

/// What a claim may ask for. What it has already it keeps, also where the bounds
/// became narrower since.
fn check_claim(claim: &Value, old: &Value, range: &Value) -> Vec<String> {
    const KIND: &str = "PersistentVolumeClaim";
    let had = amounts(&old["spec"], "requests");
    let asked = amounts(&claim["spec"], "requests");
    let is_kept = |resource: &str| {
        had.get(resource)
            .is_some_and(|h| asked.get(resource) == Some(h))
    };
    let mut broken = Vec::new();
    for item in items(range, KIND) {
        for (resource, min) in bounds(item, "min").filter(|(r, _)| !is_kept(r)) {
            let is = format!("minimum {resource} usage per {KIND} is {min}");
            match asked.get(resource) {
                None => broken.push(format!("{is}.  No request is specified")),
                Some(asked) if *asked < min => {
                    broken.push(format!("{is}, but request is {asked}"));
                }
                Some(_) => {}
            }
        }
        for (resource, max) in bounds(item, "max").filter(|(r, _)| !is_kept(r)) {
            let is = format!("maximum {resource} usage per {KIND} is {max}");
            match asked.get(resource) {
                None => broken.push(format!("{is}.  No request is specified")),
                Some(asked) if *asked > max => {
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
        let new = Value::Null;
        assert!(check_claim(&claim("1Gi"), &new, &range).is_empty());
        let over = ["maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi"];
        assert_eq!(check_claim(&claim("3Gi"), &new, &range), over);
        assert_eq!(check_claim(&claim("3Gi"), &claim("1Gi"), &range), over);
        assert!(check_claim(&claim("3Gi"), &claim("3Gi"), &range).is_empty());
    }

    /// A range of type Pod with these bounds.
    fn pod_range(bounds: &Value) -> Value {
        let mut item = bounds.clone();
        item["type"] = "Pod".into();
        json!({ "spec": { "limits": [item] } })
    }

    #[test]
    fn a_container_that_asks_for_nothing_adds_nothing_to_its_pod() {
        let range = pod_range(&json!({ "max": { "cpu": "1" } }));
        let silent = json!({ "name": "silent" });
        let loud = json!({ "name": "loud", "resources": { "limits": { "cpu": "1" } } });
        let pod = |containers: &[&Value]| json!({ "spec": { "containers": containers } });
        assert_eq!(check_pod(&pod(&[&loud, &silent]), &range), [""; 0]);
        assert_eq!(
            check_pod(&pod(&[&loud, &silent, &loud]), &range),
            ["maximum cpu usage per Pod is 1, but limit is 2"]
        );
        assert_eq!(
            check_pod(&pod(&[&silent]), &range),
            ["maximum cpu usage per Pod is 1.  No limit is specified"]
        );
    }

    #[test]
    fn a_pods_sidecars_and_init_containers_are_within_its_bounds_too() {
        let range = pod_range(&json!({ "max": { "cpu": "3" } }));
        let asks = |cpu: &str| json!({ "resources": { "limits": { "cpu": cpu } } });
        let mut sidecar = asks("1");
        sidecar["restartPolicy"] = "Always".into();
        let pod = |init: &[&Value]| json!({ "spec": { "initContainers": init, "containers": [asks("2")] } });
        assert_eq!(check_pod(&pod(&[&sidecar]), &range), [""; 0]);
        let broken = |limit: &str| {
            [format!(
                "maximum cpu usage per Pod is 3, but limit is {limit}"
            )]
        };
        assert_eq!(check_pod(&pod(&[&sidecar, &sidecar]), &range), broken("4"));
        assert_eq!(check_pod(&pod(&[&asks("5")]), &range), broken("5"));
        // The runtime's own cost is not what the pod asks for.
        let mut heavy = pod(&[]);
        heavy["spec"]["overhead"] = json!({ "cpu": "2" });
        assert_eq!(check_pod(&heavy, &range), [""; 0]);
    }

    #[test]
    fn a_pods_own_word_goes_before_its_containers() {
        let range = pod_range(&json!({ "max": { "cpu": "3" } }));
        let pod = json!({ "spec": { "resources": { "limits": { "cpu": "4" } },
            "containers": [{ "resources": { "limits": { "cpu": "1" } } }] } });
        assert_eq!(
            check_pod(&pod, &range),
            ["maximum cpu usage per Pod is 3, but limit is 4"]
        );
    }
}

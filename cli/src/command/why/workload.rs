//! What is not a pod: its own moments, what is wrong with it, and why the
//! newest of its pods that is not ready is not.

use apimachinery::selector::LabelSelector;
use serde_json::Value;

use super::facts::{Facts, events_about, items};
use super::moment::{Known, Moment};
use super::{list, table, timeline, waiting};
use crate::cluster::{Cluster, encode, text};

/// Pods of which all is told; of the others there is only a line.
const TOLD: usize = 1;
const LISTED: usize = 10;

pub async fn tell(cluster: &Cluster, object: Value) -> anyhow::Result<String> {
    let namespace = text(&object, "/metadata/namespace").to_owned();
    let kind = text(&object, "/kind").to_lowercase();
    let name = text(&object, "/metadata/name");
    let mut objects = vec![object.clone()];
    objects.extend(replica_sets(cluster, &namespace, &object).await?);
    let mut moments = Vec::new();
    for one in &objects {
        let uid = text(one, "/metadata/uid");
        let events = events_about(cluster, &namespace, uid).await?;
        moments.extend(events.iter().filter_map(timeline::event));
        moments.extend(created(one));
    }
    moments.extend(met(&object));
    let slash = if namespace.is_empty() { "" } else { "/" };
    let mut page = format!("{kind} {namespace}{slash}{name}{}\n\n", counts(&object));
    page.push_str(&table(moments));
    page.push_str(&list("trouble:", &trouble(&objects)));
    page.push_str(&pods(cluster, &namespace, &object).await?);
    Ok(page)
}

fn created(object: &Value) -> Option<Moment> {
    let what = format!("{} created", text(object, "/kind").to_lowercase());
    let time = text(object, "/metadata/creationTimestamp");
    Moment::at_second(
        time,
        Known::SecondEarly,
        what,
        text(object, "/metadata/name"),
    )
}

/// Conditions that came true.
fn met(object: &Value) -> Vec<Moment> {
    let conditions = object["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten();
    let is_met = |condition: &&Value| condition["status"] == "True";
    let moment = |condition: &Value| {
        let what = text(condition, "/type");
        Moment::at_second(
            text(condition, "/lastTransitionTime"),
            Known::SecondLate,
            what,
            text(condition, "/message"),
        )
    };
    conditions.filter(is_met).filter_map(moment).collect()
}

/// `: 2 of 3 replicas ready`, where it has replicas.
fn counts(object: &Value) -> String {
    let status = &object["status"];
    let wanted = object["spec"]["replicas"]
        .as_u64()
        .or(status["desiredNumberScheduled"].as_u64());
    let ready = status["readyReplicas"]
        .as_u64()
        .or(status["numberReady"].as_u64());
    match wanted {
        Some(wanted) => format!(": {} of {wanted} pods are ready", ready.unwrap_or(0)),
        None => String::new(),
    }
}

/// A Deployment's pods come from its ReplicaSets, which have the events.
async fn replica_sets(
    cluster: &Cluster,
    namespace: &str,
    object: &Value,
) -> anyhow::Result<Vec<Value>> {
    if text(object, "/kind") != "Deployment" {
        return Ok(Vec::new());
    }
    let sets = cluster
        .get(&format!("/apis/apps/v1/namespaces/{namespace}/replicasets"))
        .await?;
    let uid = text(object, "/metadata/uid");
    let is_its = |set: &Value| set["metadata"]["ownerReferences"][0]["uid"] == uid;
    let is_used = |set: &Value| set["spec"]["replicas"] != 0;
    let mut found = items(sets);
    found.retain(|set| is_its(set) && is_used(set));
    for set in &mut found {
        set["kind"] = "ReplicaSet".into();
    }
    Ok(found)
}

/// What the conditions say is wrong: quota, refused pods, a rollout that hangs.
fn trouble(objects: &[Value]) -> Vec<String> {
    let mut found = Vec::new();
    for object in objects {
        for condition in object["status"]["conditions"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let (name, status) = (text(condition, "/type"), text(condition, "/status"));
            let is_good_when_true = !(name.ends_with("Failure")
                || name.ends_with("Pressure")
                || matches!(
                    name,
                    "Failed" | "NetworkUnavailable" | "Suspended" | "FailureTarget"
                ));
            if (status == "True") != is_good_when_true {
                let message = text(condition, "/message");
                let line = format!(
                    "{name} is {status}: {}: {message}",
                    text(condition, "/reason")
                );
                if !found.contains(&line) {
                    found.push(line);
                }
            }
        }
    }
    found
}

async fn pods(cluster: &Cluster, namespace: &str, object: &Value) -> anyhow::Result<String> {
    let Some(selector) = selector(object) else {
        return Ok(String::new());
    };
    let path = format!(
        "/api/v1/namespaces/{namespace}/pods?labelSelector={}",
        encode(&selector)
    );
    let mut found = items(cluster.get(&path).await?);
    found.retain(|pod| !is_fine(pod));
    found.sort_by(|a, b| {
        let created = |pod: &Value| text(pod, "/metadata/creationTimestamp").to_owned();
        created(b).cmp(&created(a))
    });
    let mut told = String::new();
    let rest = found.split_off(TOLD.min(found.len()));
    for mut pod in found {
        pod["kind"] = "Pod".into();
        told.push_str(&format!("\n{}", super::pod(cluster, pod).await?));
    }
    let mut lines = Vec::new();
    for pod in rest.iter().take(LISTED) {
        let facts = Facts {
            pod: pod.clone(),
            ..Facts::default()
        };
        let waits = waiting::of(&facts);
        lines.push(format!(
            "{}: {}",
            text(pod, "/metadata/name"),
            waits.join("; ")
        ));
    }
    if rest.len() > LISTED {
        lines.push(format!("and {} more", rest.len() - LISTED));
    }
    told.push_str(&list("other pods that are not ready:", &lines));
    Ok(told)
}

/// Ready, or done.
fn is_fine(pod: &Value) -> bool {
    let ready = super::facts::condition(pod, "Ready");
    pod["status"]["phase"] == "Succeeded" || ready.is_some_and(|ready| ready["status"] == "True")
}

/// The selector of the object's pods as a query has it.
fn selector(object: &Value) -> Option<String> {
    let selector = object.pointer("/spec/selector")?;
    // A Service's and a ReplicationController's is a plain map.
    let is_plain =
        selector.get("matchLabels").is_none() && selector.get("matchExpressions").is_none();
    let parsed = if is_plain {
        LabelSelector::from_map(selector.as_object()?)
    } else {
        LabelSelector::from_object(selector).ok()?
    };
    (!parsed.is_everything()).then(|| parsed.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_quota_that_is_used_up_is_told_from_the_replica_sets_condition() {
        let condition = |name: &str, status: &str, message: &str| {
            json!({ "type": name, "status": status,
            "reason": "R", "message": message })
        };
        let set = json!({ "status": { "conditions": [
            condition("ReplicaFailure", "True", "exceeded quota: q"), condition("Progressing", "True", "fine")] } });
        let found = trouble(&[set.clone(), set]);
        assert_eq!(found, ["ReplicaFailure is True: R: exceeded quota: q"]);
    }

    #[test]
    fn pods_are_found_by_either_form_of_selector() {
        let labels = json!({ "spec": { "selector": { "matchLabels": { "app": "web" } } } });
        let plain = json!({ "spec": { "selector": { "app": "web" } } });
        assert_eq!(selector(&labels).as_deref(), Some("app=web"));
        assert_eq!(selector(&plain).as_deref(), Some("app=web"));
        assert_eq!(selector(&json!({ "spec": {} })), None);
    }
}

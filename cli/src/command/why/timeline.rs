//! The moments of a pod's life.

use serde_json::Value;

use super::facts::{Facts, last_time};
use super::moment::{Known, Moment, of_event};
use crate::cluster::text;

/// All that is known, in no order.
pub fn of(facts: &Facts) -> Vec<Moment> {
    let mut moments = vec![];
    moments.extend(created(facts));
    moments.extend(facts.events.iter().filter_map(event));
    moments.extend(stages(facts));
    moments.extend(ends(&facts.pod));
    moments.extend(deleted(&facts.pod));
    moments
}

/// The controller's event tells of it more exactly than the object itself.
fn created(facts: &Facts) -> Option<Moment> {
    let pod = &facts.pod;
    let name = text(pod, "/metadata/name");
    let owner = pod.pointer("/metadata/ownerReferences/0");
    let by = owner.map_or_else(String::new, |owner| {
        format!("by {} {}", text(owner, "/kind"), text(owner, "/name"))
    });
    let second = text(pod, "/metadata/creationTimestamp");
    let mut moment = Moment::at_second(second, Known::SecondEarly, "created", by)?;
    let tells = |event: &&Value| {
        let message = text(event, "/message");
        text(event, "/reason") == "SuccessfulCreate" && message.ends_with(&format!(" {name}"))
    };
    if let Some((at, Known::Exactly)) = facts.owner_events.iter().find(tells).and_then(of_event)
        && at.as_second() == moment.at.as_second()
    {
        (moment.at, moment.known) = (at, Known::Exactly);
    }
    Some(moment)
}

/// An event as a moment, in words for what is usual.
pub fn event(event: &Value) -> Option<Moment> {
    let (at, known) = of_event(event)?;
    let reason = text(event, "/reason");
    let what = match reason {
        "Scheduled" => "scheduled",
        "FailedScheduling" => "not scheduled",
        "Pulling" => "image pulled from now",
        "Pulled" => "image is here",
        "Created" => "container created",
        "Started" => "container started",
        "Killing" => "container stopped",
        "BackOff" => "backs off",
        "Unhealthy" => "probe failed",
        "Preempted" | "Evicted" => "evicted",
        other => other,
    };
    let container = container(text(event, "/involvedObject/fieldPath"));
    let mut detail = format!("{container}{}", text(event, "/message"));
    let count = event["count"]
        .as_u64()
        .or(event["series"]["count"].as_u64());
    if let Some(count) = count.filter(|count| *count > 1) {
        detail.push_str(&format!(
            " ({count} times, last {})",
            clock(last_time(event))
        ));
    }
    Some(Moment {
        at,
        known,
        what: what.to_owned(),
        detail,
    })
}

/// `spec.containers{c}` as `c: `.
fn container(field: &str) -> String {
    let name = field
        .split_once('{')
        .and_then(|(_, rest)| rest.strip_suffix('}'));
    name.map_or_else(String::new, |name| format!("{name}: "))
}

/// The time of day of an RFC 3339 time.
fn clock(time: &str) -> &str {
    time.get(11..19).unwrap_or(time)
}

/// What the pod's conditions tell and no event does.
fn stages(facts: &Facts) -> Vec<Moment> {
    let inits = facts.pod["spec"]["initContainers"].as_array();
    let has_inits = inits.is_some_and(|all| !all.is_empty());
    let of_init = |event: &Value| text(event, "/involvedObject/fieldPath").starts_with("spec.init");
    let scheduling = |event: &Value| text(event, "/reason") == "Scheduled";
    let is_told = facts.events.iter().any(scheduling);
    let node = text(&facts.pod, "/spec/nodeName");
    let ip = text(&facts.pod, "/status/podIP");
    let sandbox = after_last(facts, scheduling);
    [
        stage(facts, "PodScheduled", Known::SecondEarly, "scheduled", node).filter(|_| !is_told),
        stage(
            facts,
            "PodReadyToStartContainers",
            sandbox,
            "sandbox and volumes made",
            ip,
        ),
        stage(
            facts,
            "Initialized",
            after_last(facts, of_init),
            "init containers done",
            "",
        )
        .filter(|_| has_inits),
        stage(facts, "Ready", Known::SecondLate, "ready", ""),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn stage(facts: &Facts, condition: &str, known: Known, what: &str, detail: &str) -> Option<Moment> {
    let met = facts
        .condition(condition)
        .filter(|found| found["status"] == "True")?;
    Moment::at_second(text(met, "/lastTransitionTime"), known, what, detail)
}

/// Of times in one second, the one that comes right after these events.
fn after_last(facts: &Facts, is_one: impl Fn(&Value) -> bool) -> Known {
    let events = facts.events.iter().filter(|event| is_one(event));
    let times = events.filter_map(|event| Some(of_event(event)?.0));
    times.max().map_or(Known::SecondEarly, Known::SecondAfter)
}

/// How containers ended, as far as the status remembers.
fn ends(pod: &Value) -> Vec<Moment> {
    let lists = [
        "initContainerStatuses",
        "containerStatuses",
        "ephemeralContainerStatuses",
    ];
    let statuses = lists
        .iter()
        .filter_map(|list| pod["status"][list].as_array())
        .flatten();
    let mut moments = Vec::new();
    for status in statuses {
        for state in ["lastState", "state"] {
            let ended = &status[state]["terminated"];
            let time = text(ended, "/finishedAt");
            let detail = format!("{}: {}", text(status, "/name"), ending(ended));
            moments.extend(Moment::at_second(
                time,
                Known::SecondLate,
                "container ended",
                detail,
            ));
        }
    }
    moments
}

/// `Error, exit code 1: what it left as its last words`.
pub fn ending(terminated: &Value) -> String {
    let code = terminated["exitCode"].as_i64().unwrap_or(0);
    let words = match text(terminated, "/message") {
        "" => String::new(),
        message => format!(": {}", message.trim_end()),
    };
    format!("{}, exit code {code}{words}", text(terminated, "/reason"))
}

/// The deletion's time is when the grace ends.
fn deleted(pod: &Value) -> Option<Moment> {
    let ends: jiff::Timestamp = text(pod, "/metadata/deletionTimestamp").parse().ok()?;
    let grace = pod["metadata"]["deletionGracePeriodSeconds"]
        .as_i64()
        .unwrap_or(0);
    Some(Moment {
        at: ends
            .checked_sub(jiff::SignedDuration::from_secs(grace))
            .ok()?,
        known: Known::SecondEarly,
        what: "deleted".into(),
        detail: format!("with {grace} s to end"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn names(facts: &Facts) -> Vec<String> {
        let mut moments = of(facts);
        moments.sort_by_key(Moment::order);
        moments.into_iter().map(|moment| moment.what).collect()
    }

    fn told(reason: &str, time: &str) -> Value {
        let at: jiff::Timestamp = time.parse().unwrap();
        let name = format!("web.{:x}", at.as_nanosecond());
        json!({ "metadata": { "name": name }, "reason": reason, "message": "m",
            "firstTimestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string() })
    }

    #[test]
    fn a_pods_life_is_told_in_its_order_though_times_are_mixed() {
        let met = |name: &str| json!({ "type": name, "status": "True", "lastTransitionTime": "2026-01-02T03:04:05Z" });
        let facts = Facts {
            pod: json!({ "metadata": { "name": "web", "creationTimestamp": "2026-01-02T03:04:05Z" },
                "status": { "conditions": [met("Ready"), met("PodReadyToStartContainers"), met("PodScheduled")] } }),
            events: vec![
                told("Started", "2026-01-02T03:04:05.9Z"),
                told("Scheduled", "2026-01-02T03:04:05.1Z"),
                told("Pulled", "2026-01-02T03:04:05.5Z"),
            ],
            ..Facts::default()
        };
        let expected = [
            "created",
            "scheduled",
            "sandbox and volumes made",
            "image is here",
            "container started",
            "ready",
        ];
        assert_eq!(names(&facts), expected);
    }

    #[test]
    fn the_controllers_event_tells_exactly_when_the_pod_was_created() {
        let mut event = told("SuccessfulCreate", "2026-01-02T03:04:05.042Z");
        event["message"] = json!("Created pod: web-x");
        let facts = Facts {
            pod: json!({ "metadata": { "name": "web-x", "creationTimestamp": "2026-01-02T03:04:05Z",
                "ownerReferences": [{ "kind": "ReplicaSet", "name": "web" }] } }),
            owner_events: vec![event],
            ..Facts::default()
        };
        let created = created(&facts).unwrap();
        assert_eq!(created.time(), "03:04:05.042");
        assert_eq!(created.detail, "by ReplicaSet web");
    }

    #[test]
    fn ends_of_containers_and_repeated_events_say_how_and_how_often() {
        let pod = json!({ "status": { "containerStatuses": [{ "name": "c", "lastState": { "terminated": {
            "exitCode": 3, "reason": "Error", "finishedAt": "2026-01-02T03:04:06Z" } } }] } });
        assert_eq!(ends(&pod)[0].detail, "c: Error, exit code 3");
        let mut again = told("BackOff", "2026-01-02T03:04:05Z");
        (again["count"], again["lastTimestamp"]) = (json!(4), json!("2026-01-02T03:09:05Z"));
        again["involvedObject"] = json!({ "fieldPath": "spec.containers{c}" });
        assert_eq!(
            event(&again).unwrap().detail,
            "c: m (4 times, last 03:09:05)"
        );
    }
}

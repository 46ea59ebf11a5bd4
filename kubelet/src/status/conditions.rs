//! The pod's conditions that the node owns.

use k8s_openapi::api::core::v1::{PodCondition, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::containers::is_ready;
use super::{Facts, whole_seconds};
use crate::record::{Record, Role};

/// A verdict: whether, why, and in what words.
struct Verdict {
    holds: bool,
    reason: Option<&'static str>,
    message: Option<String>,
}

impl Verdict {
    fn yes() -> Self {
        Self {
            holds: true,
            reason: None,
            message: None,
        }
    }

    fn no(reason: &'static str) -> Self {
        Self {
            holds: false,
            reason: Some(reason),
            message: None,
        }
    }

    fn no_because(reason: &'static str, message: String) -> Self {
        Self {
            holds: false,
            reason: Some(reason),
            message: Some(message),
        }
    }
}

pub fn of_pod(facts: &Facts<'_>, spec: &PodSpec, phase: &str) -> Vec<PodCondition> {
    let sandbox = Verdict {
        holds: facts.sandbox_ready && !facts.finished,
        reason: None,
        message: None,
    };
    let containers = containers_ready(facts, phase);
    let ready = ready(facts, spec, &containers);
    let own = [
        ("PodReadyToStartContainers", sandbox),
        ("Initialized", initialized(facts, phase)),
        ("Ready", ready),
        ("ContainersReady", containers),
        ("PodScheduled", Verdict::yes()),
    ];
    let disrupted = disrupted(facts).map(|verdict| ("DisruptionTarget", verdict));
    own.into_iter()
        .chain(disrupted)
        .map(|(name, verdict)| condition(facts, name, verdict))
        .collect()
}

/// Said of pods that the node ended, and of no others: it may be others who end a pod.
fn disrupted(facts: &Facts<'_>) -> Option<Verdict> {
    let failure = facts.failure.filter(|_| facts.is_disrupted)?;
    Some(Verdict {
        holds: true,
        reason: Some("TerminationByKubelet"),
        message: Some(failure.message.clone()),
    })
}

fn condition(facts: &Facts<'_>, name: &str, verdict: Verdict) -> PodCondition {
    let status = if verdict.holds { "True" } else { "False" };
    let before = facts
        .before
        .conditions
        .iter()
        .flatten()
        .find(|c| c.type_ == name && c.status == status);
    let since = before
        .and_then(|c| c.last_transition_time.clone())
        .unwrap_or_else(|| Time(whole_seconds(facts.now)));
    PodCondition {
        type_: name.to_owned(),
        status: status.to_owned(),
        reason: verdict.reason.map(str::to_owned),
        message: verdict.message,
        last_transition_time: Some(since),
        observed_generation: facts.pod.metadata.generation,
        ..PodCondition::default()
    }
}

fn initialized(facts: &Facts<'_>, phase: &str) -> Verdict {
    if phase == "Succeeded" {
        return Verdict {
            reason: Some("PodCompleted"),
            ..Verdict::yes()
        };
    }
    if facts
        .records
        .iter()
        .any(|r| r.role == Role::Main && r.begun)
    {
        return Verdict::yes();
    }
    let incomplete = names(facts.records, |record| match record.role {
        Role::Init => record.exit().is_none_or(|exit| exit.code != 0),
        Role::Sidecar => !record.started,
        _ => false,
    });
    match incomplete {
        Some(names) => Verdict::no_because(
            "ContainersNotInitialized",
            format!("containers with incomplete status: {names}"),
        ),
        None => Verdict::yes(),
    }
}

fn containers_ready(facts: &Facts<'_>, phase: &str) -> Verdict {
    match phase {
        "Succeeded" => return Verdict::no("PodCompleted"),
        "Failed" => return Verdict::no("PodFailed"),
        _ => {}
    }
    let counted = |record: &Record| matches!(record.role, Role::Main | Role::Sidecar);
    match names(facts.records, |record| counted(record) && !is_ready(record)) {
        Some(names) => Verdict::no_because(
            "ContainersNotReady",
            format!("containers with unready status: {names}"),
        ),
        None => Verdict::yes(),
    }
}

fn ready(facts: &Facts<'_>, spec: &PodSpec, containers: &Verdict) -> Verdict {
    if !containers.holds {
        return Verdict {
            holds: false,
            reason: containers.reason,
            message: containers.message.clone(),
        };
    }
    let messages: Vec<String> = spec
        .readiness_gates
        .iter()
        .flatten()
        .filter_map(|gate| closed(facts, &gate.condition_type))
        .collect();
    if messages.is_empty() {
        return Verdict::yes();
    }
    Verdict::no_because("ReadinessGatesNotReady", messages.join(", "))
}

/// What is wrong with a readiness gate; gates are conditions others set.
fn closed(facts: &Facts<'_>, gate: &str) -> Option<String> {
    let conditions = facts
        .pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    match conditions.iter().find(|condition| condition.type_ == gate) {
        None => Some(format!(
            "corresponding condition of pod readiness gate \"{gate}\" does not exist."
        )),
        Some(condition) if condition.status != "True" => Some(format!(
            "the status of pod readiness gate \"{gate}\" is not \"True\", but {}",
            condition.status
        )),
        Some(_) => None,
    }
}

/// The names of the records that `wanted` picks, as Go prints a list.
fn names(records: &[Record], wanted: impl Fn(&Record) -> bool) -> Option<String> {
    let names: Vec<&str> = records
        .iter()
        .filter(|record| wanted(record))
        .map(|r| r.name.as_str())
        .collect();
    (!names.is_empty()).then(|| format!("[{}]", names.join(" ")))
}

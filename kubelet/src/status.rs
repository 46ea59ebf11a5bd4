//! What a pod's status says, computed from its spec and its containers' records.

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{HostIP, Pod, PodIP, PodSpec, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::plan::is_initialized;
use crate::record::{Record, RestartPolicy, Role, State};
use crate::resources::Qos;

mod conditions;
mod containers;

/// Why a pod failed as a whole, whatever its containers did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub reason: String,
    pub message: String,
}

/// What the status is computed from.
pub struct Facts<'a> {
    pub pod: &'a Pod,
    pub records: &'a [Record],
    pub failure: Option<&'a Failure>,
    /// The node ended the pod, for reasons of its own.
    pub is_disrupted: bool,
    /// Namespaces and address are there.
    pub sandbox_ready: bool,
    /// Nothing of the pod runs any more, and nothing will.
    pub finished: bool,
    pub host_ip: IpAddr,
    pub pod_ip: Option<IpAddr>,
    pub start_time: Timestamp,
    /// The status as last written, whose transition times stay.
    pub before: &'a PodStatus,
    pub now: Timestamp,
}

/// The status of a pod that this node runs.
pub fn of_pod(facts: &Facts<'_>) -> PodStatus {
    let empty = PodSpec::default();
    let spec = facts.pod.spec.as_ref().unwrap_or(&empty);
    let phase = phase(spec, facts);
    let pod_ip = facts.pod_ip.map(|ip| ip.to_string());
    let list = |roles: &[Role]| containers::statuses(facts, spec, roles);
    let mut status = PodStatus {
        phase: Some(phase.to_owned()),
        reason: facts.failure.map(|failure| failure.reason.clone()),
        message: facts.failure.map(|failure| failure.message.clone()),
        host_ip: Some(facts.host_ip.to_string()),
        host_ips: Some(vec![HostIP {
            ip: facts.host_ip.to_string(),
        }]),
        pod_ips: pod_ip.clone().map(|ip| vec![PodIP { ip }]),
        pod_ip,
        start_time: Some(Time(whole_seconds(facts.start_time))),
        qos_class: Some(Qos::of(spec).as_str().to_owned()),
        container_statuses: list(&[Role::Main]),
        init_container_statuses: list(&[Role::Init, Role::Sidecar]),
        ephemeral_container_statuses: list(&[Role::Ephemeral]),
        observed_generation: facts.pod.metadata.generation,
        ..PodStatus::default()
    };
    status.conditions = Some(conditions::of_pod(facts, spec, phase));
    status
}

/// The status of a pod that this node refused to run.
pub fn of_refused(failure: &Failure, now: Timestamp, generation: Option<i64>) -> PodStatus {
    PodStatus {
        phase: Some("Failed".to_owned()),
        reason: Some(failure.reason.clone()),
        message: Some(failure.message.clone()),
        start_time: Some(Time(whole_seconds(now))),
        observed_generation: generation,
        ..PodStatus::default()
    }
}

/// Times in the API are whole seconds.
pub fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

fn phase(spec: &PodSpec, facts: &Facts<'_>) -> &'static str {
    if facts.failure.is_some() && facts.finished {
        return "Failed";
    }
    let records = facts.records;
    let init_failed = records.iter().filter(|r| r.role == Role::Init).any(|r| {
        r.exit()
            .is_some_and(|exit| exit.code != 0 && !r.restarts_after(exit.code))
    });
    if init_failed {
        return if facts.finished { "Failed" } else { "Pending" };
    }
    if !is_initialized(records) {
        return "Pending";
    }
    phase_of_mains(spec, facts)
}

fn phase_of_mains(spec: &PodSpec, facts: &Facts<'_>) -> &'static str {
    let mains = || {
        facts
            .records
            .iter()
            .filter(|record| record.role == Role::Main)
    };
    let new = |record: &Record| matches!(record.state, State::Waiting(_)) && record.last.is_none();
    if mains().any(new) {
        return "Pending";
    }
    let ended = |record: &Record| record.latest_exit().map(|exit| exit.code);
    let all_ended = mains().all(|record| ended(record).is_some());
    if !all_ended || !(facts.finished || mains().all(Record::is_done)) {
        return "Running";
    }
    let sidecar_runs = facts
        .records
        .iter()
        .any(|r| r.role == Role::Sidecar && r.running().is_some());
    let restarted = RestartPolicy::of(spec) == RestartPolicy::Always && !facts.finished;
    match (
        sidecar_runs || restarted,
        mains().all(|record| ended(record) == Some(0)),
    ) {
        (true, _) => "Running",
        (false, true) => "Succeeded",
        (false, false) => "Failed",
    }
}

#[cfg(test)]
mod tests;

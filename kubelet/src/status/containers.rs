//! `containerStatuses`.

use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, PodSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Facts, whole_seconds};
use crate::record::{Exit, Record, Role, State, find_container};
use crate::resources;

/// The statuses of all containers of `roles`, by name; `None` if there are none.
pub fn statuses(facts: &Facts<'_>, spec: &PodSpec, roles: &[Role]) -> Option<Vec<ContainerStatus>> {
    let records = facts
        .records
        .iter()
        .filter(|record| roles.contains(&record.role));
    let mut list: Vec<_> = records.map(|record| status(record, spec)).collect();
    if roles == [Role::Main] {
        list.sort_by(|a, b| a.name.cmp(&b.name));
    }
    (!list.is_empty()).then_some(list)
}

fn status(record: &Record, spec: &PodSpec) -> ContainerStatus {
    let started = match record.role {
        Role::Init | Role::Ephemeral => None,
        Role::Main | Role::Sidecar => Some(record.running().is_some() && record.started),
    };
    let container = find_container(spec, &record.name);
    ContainerStatus {
        name: record.name.clone(),
        image: record.image.clone(),
        image_id: record.image_id.clone(),
        container_id: current_id(record).map(uri),
        restart_count: i32::try_from(record.restarts).unwrap_or(i32::MAX),
        ready: is_ready(record),
        started,
        state: Some(state(record, spec)),
        last_state: Some(record.last.as_ref().map(terminated).unwrap_or_default()),
        allocated_resources: container
            .as_ref()
            .and_then(|c| c.resources.as_ref()?.requests.clone()),
        resources: container.as_ref().and_then(resources::reported),
        ..ContainerStatus::default()
    }
}

pub fn is_ready(record: &Record) -> bool {
    match record.role {
        Role::Init => record.exit().is_some_and(|exit| exit.code == 0),
        Role::Main | Role::Sidecar => record.running().is_some() && record.ready,
        Role::Ephemeral => false,
    }
}

fn uri(id: &str) -> String {
    format!("skiff://{id}")
}

fn current_id(record: &Record) -> Option<&str> {
    match &record.state {
        State::Running(running) => Some(&running.id),
        State::Exited(exit) => Some(&exit.id),
        State::Waiting(_) => record.last.as_ref().map(|exit| exit.id.as_str()),
    }
}

fn state(record: &Record, spec: &PodSpec) -> ContainerState {
    match &record.state {
        State::Running(running) => ContainerState {
            running: Some(ContainerStateRunning {
                started_at: Some(Time(whole_seconds(running.started_at))),
            }),
            ..ContainerState::default()
        },
        State::Exited(exit) => terminated(exit),
        State::Waiting(waiting) => {
            let has_init = spec
                .init_containers
                .as_ref()
                .is_some_and(|list| !list.is_empty());
            let reason = match (waiting.reason.as_str(), has_init) {
                ("", true) => "PodInitializing",
                ("", false) => "ContainerCreating",
                (reason, _) => reason,
            };
            let waiting = ContainerStateWaiting {
                reason: Some(reason.to_owned()),
                message: waiting.message.clone(),
            };
            ContainerState {
                waiting: Some(waiting),
                ..ContainerState::default()
            }
        }
    }
}

fn terminated(exit: &Exit) -> ContainerState {
    let terminated = ContainerStateTerminated {
        signal: None,
        container_id: Some(uri(&exit.id)),
        exit_code: exit.code,
        reason: Some(exit.reason.clone()),
        message: exit.message.clone(),
        // A container that never ran has the beginning of time, as in Kubernetes.
        started_at: Some(Time(
            exit.started_at
                .map_or(jiff::Timestamp::UNIX_EPOCH, whole_seconds),
        )),
        finished_at: Some(Time(whole_seconds(exit.finished_at))),
    };
    ContainerState {
        terminated: Some(terminated),
        ..ContainerState::default()
    }
}

use super::*;
use crate::record::{Exit, Next, Running, Stage, Waiting, records_of};
use serde_json::json;

struct Case {
    pod: Pod,
    records: Vec<Record>,
    finished: bool,
    failure: Option<Failure>,
    is_disrupted: bool,
}

impl Case {
    fn new(spec: serde_json::Value) -> Self {
        let pod: Pod =
            serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).unwrap();
        let records = records_of(&pod);
        Self {
            pod,
            records,
            finished: false,
            failure: None,
            is_disrupted: false,
        }
    }

    fn status(&self) -> PodStatus {
        of_pod(&Facts {
            pod: &self.pod,
            records: &self.records,
            failure: self.failure.as_ref(),
            is_disrupted: self.is_disrupted,
            sandbox_ready: true,
            finished: self.finished,
            host_ip: IpAddr::from([1, 1, 1, 1]),
            pod_ip: Some(IpAddr::from([10, 0, 0, 2])),
            start_time: Timestamp::UNIX_EPOCH,
            before: &PodStatus::default(),
            now: Timestamp::UNIX_EPOCH,
        })
    }

    fn condition(&self, name: &str) -> (String, String, String) {
        let all = self.status().conditions.unwrap();
        let one = all.into_iter().find(|c| c.type_ == name).unwrap();
        (
            one.status,
            one.reason.unwrap_or_default(),
            one.message.unwrap_or_default(),
        )
    }

    fn exit(&mut self, at: usize, code: i32) {
        (self.records[at].ran, self.records[at].begun) = (true, true);
        self.records[at].state = State::Exited(Exit {
            id: "x".into(),
            code,
            reason: "Error".into(),
            message: None,
            started_at: None,
            finished_at: Timestamp::UNIX_EPOCH,
            seen: tokio::time::Instant::now(),
        });
    }

    fn run(&mut self, at: usize) {
        let record = &mut self.records[at];
        (record.ran, record.begun, record.started, record.ready) = (true, true, true, true);
        let started_at = Timestamp::UNIX_EPOCH;
        record.state = State::Running(Running {
            id: "x".into(),
            started_at,
            since: tokio::time::Instant::now(),
            stage: Stage::Up,
        });
    }
}

fn text(status: &str, reason: &str, message: &str) -> (String, String, String) {
    (status.into(), reason.into(), message.into())
}

#[test]
fn a_new_pod_is_pending_with_unready_containers() {
    let case = Case::new(json!({"containers": [{"name": "c"}]}));
    let status = case.status();
    assert_eq!(status.phase.as_deref(), Some("Pending"));
    let waiting = status.container_statuses.unwrap()[0]
        .state
        .clone()
        .unwrap()
        .waiting
        .unwrap();
    assert_eq!(waiting.reason.as_deref(), Some("ContainerCreating"));
    let unready = text(
        "False",
        "ContainersNotReady",
        "containers with unready status: [c]",
    );
    assert_eq!(case.condition("Ready"), unready);
    assert_eq!(case.condition("ContainersReady"), unready);
    assert_eq!(case.condition("Initialized"), text("True", "", ""));
}

#[test]
fn a_pod_that_completed_says_so_in_three_conditions() {
    let mut case = Case::new(json!({"restartPolicy": "Never", "containers": [{"name": "c"}]}));
    case.exit(0, 0);
    assert_eq!(case.status().phase.as_deref(), Some("Succeeded"));
    assert_eq!(
        case.condition("Initialized"),
        text("True", "PodCompleted", "")
    );
    assert_eq!(case.condition("Ready"), text("False", "PodCompleted", ""));
    assert_eq!(
        case.condition("ContainersReady"),
        text("False", "PodCompleted", "")
    );
}

#[test]
fn a_pod_is_running_while_one_container_runs_or_is_restarted() {
    let mut case =
        Case::new(json!({"restartPolicy": "Never", "containers": [{"name": "a"}, {"name": "b"}]}));
    case.exit(0, 1);
    case.run(1);
    assert_eq!(case.status().phase.as_deref(), Some("Running"));
    let mut looping = Case::new(json!({"containers": [{"name": "c"}]}));
    looping.exit(0, 1);
    looping.records[0].wait(Waiting {
        reason: "CrashLoopBackOff".into(),
        message: None,
        next: Next::Turn,
    });
    assert_eq!(looping.status().phase.as_deref(), Some("Running"));
}

#[test]
fn a_failed_init_container_is_named_and_leaves_the_rest_initializing() {
    let mut case = Case::new(
        json!({"restartPolicy": "Never", "initContainers": [{"name": "i"}], "containers": [{"name": "c"}]}),
    );
    case.exit(0, 7);
    case.finished = true;
    assert_eq!(case.status().phase.as_deref(), Some("Failed"));
    let wanted = text(
        "False",
        "ContainersNotInitialized",
        "containers with incomplete status: [i]",
    );
    assert_eq!(case.condition("Initialized"), wanted);
    let state = case.status().container_statuses.unwrap()[0]
        .state
        .clone()
        .unwrap();
    assert_eq!(
        state.waiting.unwrap().reason.as_deref(),
        Some("PodInitializing")
    );
    assert_eq!(case.condition("Ready"), text("False", "PodFailed", ""));
}

#[test]
fn a_missing_readiness_gate_keeps_a_pod_from_being_ready() {
    let mut case = Case::new(
        json!({"containers": [{"name": "c"}], "readinessGates": [{"conditionType": "x.io/y"}]}),
    );
    case.run(0);
    assert_eq!(case.condition("ContainersReady"), text("True", "", ""));
    let message = "corresponding condition of pod readiness gate \"x.io/y\" does not exist.";
    assert_eq!(
        case.condition("Ready"),
        text("False", "ReadinessGatesNotReady", message)
    );
}

#[test]
fn a_failure_of_the_pod_shows_once_nothing_runs_any_more() {
    let mut case = Case::new(json!({"containers": [{"name": "c"}]}));
    case.run(0);
    case.failure = Some(Failure {
        reason: "DeadlineExceeded".into(),
        message: "m".into(),
    });
    assert_eq!(case.status().phase.as_deref(), Some("Running"));
    case.exit(0, 137);
    case.finished = true;
    assert_eq!(case.status().phase.as_deref(), Some("Failed"));
}

#[test]
fn a_pod_that_its_node_ended_says_that_it_was_disrupted() {
    let mut case = Case::new(json!({"containers": [{"name": "c"}]}));
    case.exit(0, 137);
    case.finished = true;
    case.failure = Some(Failure {
        reason: "Evicted".into(),
        message: "The node was low on resource: memory. ".into(),
    });
    let conditions = |case: &Case| case.status().conditions.unwrap().len();
    let without = conditions(&case);
    case.is_disrupted = true;
    assert_eq!(conditions(&case), without + 1);
    assert_eq!(
        case.condition("DisruptionTarget"),
        text(
            "True",
            "TerminationByKubelet",
            "The node was low on resource: memory. "
        )
    );
    assert_eq!(case.status().reason.as_deref(), Some("Evicted"));
}

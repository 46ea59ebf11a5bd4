use super::*;
use jiff::Timestamp;

use crate::record::{Exit, Running, Waiting, records_of};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

fn at(seconds: u64) -> Instant {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *START.get_or_init(Instant::now) + Duration::from_secs(seconds)
}

fn records(policy: &str, init: &[(&str, bool)], main: &[&str]) -> Vec<Record> {
    let init: Vec<_> = init
        .iter()
        .map(|(name, sidecar)| match sidecar {
            true => json!({"name": name, "restartPolicy": "Always"}),
            false => json!({"name": name}),
        })
        .collect();
    let main: Vec<_> = main.iter().map(|name| json!({"name": name})).collect();
    let spec = json!({"restartPolicy": policy, "initContainers": init, "containers": main});
    let pod: Pod = serde_json::from_value(json!({"metadata": {}, "spec": spec})).unwrap();
    records_of(&pod)
}

fn exit(record: &mut Record, code: i32, time: u64) {
    (record.ran, record.begun) = (true, true);
    record.state = State::Exited(Exit {
        id: "x".into(),
        code,
        reason: "Error".into(),
        message: None,
        started_at: None,
        finished_at: Timestamp::UNIX_EPOCH,
        seen: at(time),
    });
}

fn run(record: &mut Record) {
    (record.ran, record.begun) = (true, true);
    record.started = true;
    record.state = State::Running(Running {
        id: "x".into(),
        started_at: Timestamp::UNIX_EPOCH,
        since: at(0),
        stage: Stage::Up,
    });
}

fn start(name: &str) -> Vec<Step> {
    vec![Step::Start(name.into())]
}

#[test]
fn init_containers_go_one_by_one_before_main_ones() {
    let mut records = records("Never", &[("i1", false), ("i2", false)], &["c"]);
    assert_eq!(plan(&records, at(0)).steps, start("i1"));
    run(&mut records[0]);
    assert_eq!(plan(&records, at(0)), Plan::default());
    exit(&mut records[0], 0, 1);
    assert_eq!(plan(&records, at(1)).steps, start("i2"));
    exit(&mut records[1], 0, 2);
    assert_eq!(plan(&records, at(2)).steps, start("c"));
}

#[test]
fn a_failed_init_container_fails_a_pod_that_never_restarts() {
    let mut records = records("Never", &[("i", false)], &["c"]);
    exit(&mut records[0], 7, 1);
    assert_eq!(plan(&records, at(1)).outcome, Some(Outcome::Failed));
}

#[test]
fn a_started_sidecar_lets_main_containers_run_and_stops_after_them() {
    let mut records = records("Never", &[("s", true)], &["c"]);
    assert_eq!(plan(&records, at(0)).steps, start("s"));
    run(&mut records[0]);
    assert_eq!(plan(&records, at(0)).steps, start("c"));
    exit(&mut records[1], 0, 1);
    assert_eq!(plan(&records, at(1)).steps, vec![Step::Stop("s".into())]);
    exit(&mut records[0], 137, 2);
    assert_eq!(plan(&records, at(2)).outcome, Some(Outcome::Succeeded));
}

#[test]
fn a_sidecar_that_dies_is_started_again_while_main_containers_run() {
    let mut records = records("Never", &[("s", true)], &["c"]);
    exit(&mut records[0], 1, 1);
    run(&mut records[1]);
    assert_eq!(plan(&records, at(1)).steps, start("s"));
}

#[test]
fn the_first_restart_is_at_once_and_the_second_waits_ten_seconds() {
    let mut records = records("Always", &[], &["c"]);
    exit(&mut records[0], 1, 100);
    assert_eq!(plan(&records, at(100)).steps, start("c"));
    records[0].back_off.attempt(at(100));
    exit(&mut records[0], 1, 101);
    let plan = plan(&records, at(101));
    assert_eq!(plan.wake, Some(at(111)));
    let delay = Duration::from_secs(10);
    assert_eq!(
        plan.steps,
        vec![Step::BackOff {
            name: "c".into(),
            until: at(111),
            delay
        }]
    );
}

#[test]
fn on_failure_ends_with_success_only_after_every_container_succeeded() {
    let mut records = records("OnFailure", &[], &["a", "b"]);
    exit(&mut records[0], 0, 1);
    exit(&mut records[1], 1, 1);
    assert_eq!(plan(&records, at(1)).steps, start("b"));
    exit(&mut records[1], 0, 2);
    assert_eq!(plan(&records, at(2)).outcome, Some(Outcome::Succeeded));
}

#[test]
fn one_failed_container_fails_a_pod_that_never_restarts_when_all_are_done() {
    let mut records = records("Never", &[], &["a", "b"]);
    exit(&mut records[0], 1, 1);
    run(&mut records[1]);
    assert_eq!(plan(&records, at(1)).outcome, None);
    exit(&mut records[1], 0, 2);
    assert_eq!(plan(&records, at(2)).outcome, Some(Outcome::Failed));
}

#[test]
fn main_containers_start_in_order_and_wait_for_the_hook_before() {
    let mut records = records("Always", &[], &["a", "b"]);
    assert_eq!(plan(&records, at(0)).steps, start("a"));
    run(&mut records[0]);
    if let State::Running(running) = &mut records[0].state {
        running.stage = Stage::Hook;
    }
    assert_eq!(plan(&records, at(0)).steps, vec![]);
    run(&mut records[0]);
    assert_eq!(plan(&records, at(0)).steps, start("b"));
}

#[test]
fn a_container_that_waits_for_its_image_does_not_hold_up_the_next() {
    let mut records = records("Always", &[], &["a", "b"]);
    records[0].wait(Waiting {
        next: Next::Time(at(9)),
        ..Waiting::default()
    });
    let plan = plan(&records, at(0));
    assert_eq!((plan.steps, plan.wake), (start("b"), Some(at(9))));
}

#[test]
fn a_back_off_is_as_long_whatever_the_time_of_day_says() {
    for finished_at in [Timestamp::UNIX_EPOCH, Timestamp::MAX] {
        let mut records = records("Always", &[], &["c"]);
        records[0].back_off.attempt(at(100));
        exit(&mut records[0], 1, 101);
        if let State::Exited(exit) = &mut records[0].state {
            exit.finished_at = finished_at;
        }
        assert_eq!(plan(&records, at(110)).wake, Some(at(111)));
        assert_eq!(plan(&records, at(111)).steps, start("c"));
    }
}

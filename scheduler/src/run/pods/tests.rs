use std::convert::Infallible;
use std::future;

use events::Events;
use follow::Event;
use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::json;
use tokio::time::Instant;

use crate::cache::Candidate;
use crate::configuration::Config;
use crate::object::{Node, Pod};
use crate::run::Scheduler;

fn node() -> Node {
    serde_json::from_value(json!({
        "metadata": { "name": "n" }, "status": { "allocatable": { "cpu": "4", "pods": "10" } },
    }))
    .unwrap()
}

fn waiting(uid: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": { "name": "p", "namespace": "d", "uid": uid },
        "spec": { "schedulerName": "default-scheduler", "containers": [] },
    }))
    .unwrap()
}

/// A scheduler of one node, whose server never answers.
fn scheduler() -> Scheduler {
    let silent = tower::service_fn(|_: Request<Body>| {
        future::pending::<Result<Response<Body>, Infallible>>()
    });
    let client = Client::new(silent, "default");
    let mut scheduler = Scheduler::new(Config::default(), client, &Events::new());
    scheduler.cluster.cache.set_node(&node());
    scheduler.on_pod(Event::Init);
    listed(&mut scheduler);
    scheduler
}

fn listed(scheduler: &mut Scheduler) {
    let version = "10".to_owned();
    scheduler.on_pod(Event::InitDone { version });
}

/// The pod is seen, and its binding made.
fn bind(scheduler: &mut Scheduler, uid: &str) -> Candidate {
    scheduler.on_pod(Event::Apply(waiting(uid)));
    let pod = scheduler.queue.pop(Instant::now()).expect("it waits");
    let index = scheduler.cluster.cache.find("n").unwrap().index;
    scheduler.cluster.cache.assume(&pod, index);
    scheduler.queue.done(&pod);
    pod
}

#[tokio::test]
async fn an_older_state_of_a_pod_just_bound_does_not_make_it_wait_again() {
    let mut scheduler = scheduler();
    let pod = bind(&mut scheduler, "u");
    scheduler.on_pod(Event::Apply(waiting("u")));
    scheduler.on_pod(Event::Init);
    scheduler.on_pod(Event::InitApply(waiting("u")));
    listed(&mut scheduler);
    assert!(scheduler.queue.get(&pod.key).is_none());
    assert!(scheduler.cluster.cache.pod(&pod.key).is_some());
}

#[tokio::test]
async fn another_pod_with_the_name_of_one_just_bound_waits() {
    let mut scheduler = scheduler();
    let pod = bind(&mut scheduler, "u");
    scheduler.on_pod(Event::Apply(waiting("v")));
    assert_eq!(&*scheduler.queue.get(&pod.key).unwrap().uid, "v");
}

#[tokio::test]
async fn a_pod_that_was_bound_and_is_not_listed_holds_its_node_no_more() {
    let mut scheduler = scheduler();
    let pod = bind(&mut scheduler, "u");
    scheduler.on_pod(Event::Init);
    listed(&mut scheduler);
    assert!(scheduler.cluster.cache.pod(&pod.key).is_none());
}

use super::*;
use serde_json::json;

fn pod(name: &str, priority: i32) -> Candidate {
    let pod = json!({ "metadata": { "name": name, "namespace": "d", "uid": name },
        "spec": { "priority": priority } });
    Candidate::new(&serde_json::from_value(pod).unwrap())
}

fn names(queue: &mut Queue, now: Instant) -> Vec<String> {
    std::iter::from_fn(|| queue.pop(now).map(|c| c.key.to_string())).collect()
}

#[test]
fn higher_priority_goes_first_then_first_come() {
    let mut queue = Queue::default();
    for (name, priority) in [("a", 0), ("b", 10), ("c", 0)] {
        queue.add(pod(name, priority));
    }
    assert_eq!(names(&mut queue, Instant::now()), ["d/b", "d/a", "d/c"]);
}

#[test]
fn parked_pod_wakes_by_what_can_help_it_after_its_back_off() {
    let now = Instant::now();
    let mut queue = Queue::default();
    queue.add(pod("a", 0));
    queue.pop(now);
    queue.park("d/a", Wakeup::Node, now);
    queue.wake(Wakeup::NodeOrPod, now + Duration::from_secs(5));
    assert!(queue.pop(now).is_none(), "a freed pod is no help");
    queue.wake(Wakeup::Node, now + Duration::from_millis(500));
    assert!(queue.pop(now).is_none(), "still backing off");
    queue.tick(now + Duration::from_secs(1));
    assert!(queue.pop(now).is_some());
}

#[test]
fn back_off_doubles_up_to_ten_seconds() {
    let waits: Vec<u64> = (1..7).map(|n| backoff(n).as_secs()).collect();
    assert_eq!(waits, [1, 2, 4, 8, 10, 10]);
}

#[test]
fn removed_pod_is_never_popped_and_its_timer_does_nothing() {
    let now = Instant::now();
    let mut queue = Queue::default();
    queue.add(pod("a", 0));
    queue.pop(now);
    queue.retry("d/a", now);
    queue.remove("d/a");
    queue.tick(now + Duration::from_secs(60));
    assert!(queue.pop(now).is_none());
}

#[test]
fn changed_spec_of_a_parked_pod_is_looked_at_at_once() {
    let now = Instant::now();
    let mut queue = Queue::default();
    queue.add(pod("a", 0));
    queue.pop(now);
    queue.park("d/a", Wakeup::Node, now);
    queue.add(pod("a", 0));
    assert!(queue.pop(now).is_none(), "nothing changed");
    queue.add(pod("a", 1));
    assert!(queue.pop(now).is_some());
}

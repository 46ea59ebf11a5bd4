use super::*;
use crate::world::{World, asking, node};
use serde_json::json;

struct Fixture {
    world: World,
    queue: Queue,
    now: Instant,
}

impl Fixture {
    fn new() -> Self {
        Self {
            world: World::new([node("a", json!({}))]),
            queue: Queue::default(),
            now: Instant::now() + Duration::from_secs(3600),
        }
    }

    fn add(&mut self, name: &str, priority: i32) {
        let pod = self.world.candidate(asking(name, "1", priority));
        self.queue.add(pod);
    }

    /// Adds a pod that is then refused for want of room.
    fn park(&mut self, name: &str) {
        self.add(name, 0);
        self.queue.pop(self.now);
        let fit = crate::plugins::ALL
            .iter()
            .position(|p| p.name == "NodeResourcesFit");
        let mut refused_by = Set::default();
        refused_by.insert(fit.unwrap());
        self.queue.park(&format!("d/{name}"), refused_by, self.now);
    }

    fn names(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.queue.pop(self.now).map(|c| c.key.to_string())).collect()
    }

    fn spend_allowance(&mut self) {
        while self.queue.early.take(self.now) {}
    }
}

fn left(world: &mut World) -> Candidate {
    world.candidate(asking("left", "1", 0))
}

#[test]
fn higher_priority_goes_first_then_first_come() {
    let mut fixture = Fixture::new();
    for (name, priority) in [("a", 0), ("b", 10), ("c", 0)] {
        fixture.add(name, priority);
    }
    assert_eq!(fixture.names(), ["d/b", "d/a", "d/c"]);
}

#[test]
fn parked_pod_wakes_by_what_can_help_it_after_its_back_off() {
    let mut fixture = Fixture::new();
    fixture.park("a");
    fixture.spend_allowance();
    let (now, left) = (fixture.now, left(&mut fixture.world));
    fixture
        .queue
        .wake(&Happened::PodPlaced(&left.template), now);
    fixture.queue.tick(now + Duration::from_secs(5));
    assert!(fixture.queue.pop(now).is_none(), "one more pod is no help");
    fixture.queue.wake(&Happened::PodLeft(&left.template), now);
    assert!(fixture.queue.pop(now).is_none(), "still backing off");
    fixture.queue.tick(now + Duration::from_secs(1));
    assert!(fixture.queue.pop(now).is_some());
}

#[test]
fn a_few_helped_pods_need_not_wait_for_their_back_off() {
    let mut fixture = Fixture::new();
    for number in 0..200 {
        fixture.park(&number.to_string());
    }
    let (now, left) = (fixture.now, left(&mut fixture.world));
    fixture.queue.wake(&Happened::PodLeft(&left.template), now);
    let early = fixture.names().len();
    assert!((1..=60).contains(&early), "{early}");
    fixture.queue.tick(now + Duration::from_secs(1));
    assert_eq!(
        fixture.names().len(),
        200 - early,
        "each pod is popped once"
    );
}

#[test]
fn a_node_that_is_too_small_wakes_nobody() {
    let mut fixture = Fixture::new();
    fixture.park("a");
    let mut small = node("b", json!({}));
    small["status"]["allocatable"]["cpu"] = "500m".into();
    fixture.world.set_node(small);
    let cache = &fixture.world.cluster.cache;
    let added = Happened::NodeAdded(cache.find("b").unwrap());
    fixture.queue.wake(&added, fixture.now);
    assert!(fixture.queue.pop(fixture.now).is_none());
    let added = Happened::NodeAdded(cache.find("a").unwrap());
    fixture.queue.wake(&added, fixture.now);
    assert!(fixture.queue.pop(fixture.now).is_some());
}

#[test]
fn back_off_doubles_up_to_ten_seconds() {
    let waits: Vec<u64> = (1..7)
        .map(|n| BackOff::default().after(n).as_secs())
        .collect();
    assert_eq!(waits, [1, 2, 4, 8, 10, 10]);
}

#[test]
fn removed_pod_is_never_popped_and_its_timer_does_nothing() {
    let mut fixture = Fixture::new();
    fixture.add("a", 0);
    let now = fixture.now;
    let pod = fixture.queue.pop(now).unwrap();
    fixture.queue.retry(&pod, now);
    fixture.queue.remove("d/a");
    fixture.queue.tick(now + Duration::from_secs(600));
    assert!(fixture.queue.pop(now).is_none());
}

#[test]
fn a_parked_pod_is_looked_at_again_after_five_minutes() {
    let mut fixture = Fixture::new();
    fixture.park("a");
    let now = fixture.now;
    fixture
        .queue
        .tick(now + LONGEST_PARK - Duration::from_secs(1));
    assert!(fixture.queue.pop(now).is_none());
    fixture.queue.tick(now + LONGEST_PARK);
    assert!(fixture.queue.pop(now).is_some());
}

#[test]
fn changed_spec_of_a_parked_pod_is_looked_at_at_once() {
    let mut fixture = Fixture::new();
    fixture.park("a");
    fixture.add("a", 0);
    assert!(fixture.queue.pop(fixture.now).is_none(), "nothing changed");
    fixture.add("a", 1);
    assert!(fixture.queue.pop(fixture.now).is_some());
}

#[test]
fn what_becomes_of_a_pod_does_not_touch_the_next_of_its_name() {
    let mut fixture = Fixture::new();
    fixture.add("a", 0);
    let now = fixture.now;
    let first = fixture.queue.pop(now).unwrap();
    let mut next = first.clone();
    next.uid = "next".into();
    fixture.queue.add(next.clone());
    fixture.queue.retry(&first, now);
    fixture.queue.done(&first);
    let popped = fixture.queue.pop(now).unwrap();
    assert_eq!(popped.uid, next.uid);
    assert!(fixture.queue.pop(now).is_none(), "it is popped once");
    fixture.queue.retry(&popped, now);
    fixture.queue.tick(now + Duration::from_secs(1));
    assert!(fixture.queue.pop(now).is_some());
}

#[test]
fn counts_tell_what_pods_wait_for() {
    let mut fixture = Fixture::new();
    fixture.park("one");
    fixture.park("other");
    fixture.add("failing", 0);
    let failing = fixture.queue.pop(fixture.now).unwrap();
    fixture.queue.retry(&failing, fixture.now);
    fixture.add("ready", 0);
    let counts = |ready, backing_off, parked| Counts {
        ready,
        backing_off,
        parked,
    };
    assert_eq!(fixture.queue.counts(), counts(1, 1, 2));
    let left = left(&mut fixture.world);
    let happened = Happened::PodLeft(&left.template);
    fixture.queue.wake(&happened, fixture.now);
    assert_eq!(fixture.queue.counts(), counts(1, 3, 0));
    fixture.queue.remove("d/failing");
    assert_eq!(fixture.queue.counts(), counts(1, 2, 0));
}

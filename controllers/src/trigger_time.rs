//! When that happened which makes endpoints change: what they are annotated
//! with, so that it can be told how long the network took to follow.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::key::Key;
use crate::object::{Pod, Service};

pub const ANNOTATION: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// What was told already, by Service: nothing is told twice.
#[derive(Default)]
pub struct Tracker(Mutex<HashMap<Key, Told>>);

/// The Service's coming, and the last change of each pod's readiness by a hash
/// of its uid. All are whole seconds.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Told {
    service: Option<i64>,
    pods: HashMap<u64, i64>,
}

impl Told {
    fn of(service: &Service, pods: &[Arc<Pod>]) -> Self {
        let created = service.metadata.creation_timestamp.as_ref();
        let change = |pod: &Arc<Pod>| {
            let mut hasher = DefaultHasher::new();
            pod.metadata.uid.hash(&mut hasher);
            Some((hasher.finish(), pod.readiness_changed()?.as_second()))
        };
        Self {
            service: created.map(|time| time.0.as_second()),
            pods: pods.iter().filter_map(change).collect(),
        }
    }

    /// The earliest of the times that `before` did not have.
    fn first_since(&self, before: &Self) -> Option<i64> {
        let is_new = |(pod, at): &(&u64, &i64)| before.pods.get(pod).is_none_or(|told| told < *at);
        let pods = self.pods.iter().filter(is_new).map(|(_, at)| *at);
        let service = self.service.filter(|at| before.service < Some(*at));
        pods.chain(service).min()
    }
}

impl Tracker {
    /// When the first thing happened that is not told yet, and what to
    /// [`Tracker::note`] when it is.
    pub fn look(
        &self,
        key: &Key,
        service: &Service,
        pods: &[Arc<Pod>],
    ) -> (Option<Timestamp>, Told) {
        let now = Told::of(service, pods);
        let all = self.all();
        let first = match all.get(key) {
            Some(before) => now.first_since(before),
            None => now.first_since(&Told::default()),
        };
        let first = first.and_then(|second| Timestamp::from_second(second).ok());
        (first, now)
    }

    pub fn note(&self, key: &Key, told: Told) {
        self.all().insert(key.clone(), told);
    }

    /// The Service is gone.
    pub fn forget(&self, key: &Key) {
        self.all().remove(key);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Key, Told>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(uid: &str, since: &str) -> Arc<Pod> {
        let ready = json!([{ "type": "Ready", "status": "False", "lastTransitionTime": since }]);
        let pod = json!({ "metadata": { "uid": uid }, "status": { "conditions": ready } });
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn earliest_change_since_the_last_telling_is_told_once() {
        let created = json!({ "metadata": { "creationTimestamp": "2026-01-01T00:00:05Z" } });
        let service: Service = serde_json::from_value(created).unwrap();
        let (tracker, key) = (Tracker::default(), Key::new("n", "s"));
        let look = |pods: &[Arc<Pod>]| {
            let (at, told) = tracker.look(&key, &service, pods);
            (at.map(|at| at.to_string()), told)
        };
        let at = |second: &str| Some(format!("2026-01-01T00:00:{second}Z"));
        let old = pod("a", "2026-01-01T00:00:03Z");
        assert_eq!(look(&[]).0, at("05"));
        let (first, told) = look(std::slice::from_ref(&old));
        assert_eq!(first, at("03"));
        // Not told as long as it is not noted.
        assert_eq!(look(std::slice::from_ref(&old)).0, at("03"));
        tracker.note(&key, told);
        assert_eq!(look(std::slice::from_ref(&old)).0, None);
        // A change that is seen later than one after it.
        let pods = [
            old,
            pod("b", "2026-01-01T00:00:09Z"),
            pod("c", "2026-01-01T00:00:04Z"),
        ];
        let (first, told) = look(&pods);
        assert_eq!(first, at("04"));
        tracker.note(&key, told);
        let moved = [
            pods[0].clone(),
            pods[1].clone(),
            pod("c", "2026-01-01T00:00:10Z"),
        ];
        assert_eq!(look(&moved).0, at("10"));
        assert_eq!(look(&moved[..1]).0, None);
    }
}

//! The volumes that a claim may be given, without a look at all others: most
//! volumes of a large cluster are somebody's already.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::informer::Informer;
use crate::key::Key;
use crate::object::{PersistentVolume, PersistentVolumeClaim};

/// For whom a volume is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Place {
    /// Any claim of this class.
    Free(String),
    /// The claim of this name.
    Aside(Key),
}

impl Place {
    fn of(volume: &PersistentVolume) -> Self {
        match &volume.spec.claim_ref {
            None => Self::Free(volume.class().to_owned()),
            Some(claim) => Self::Aside(Key::new(&claim.namespace, &claim.name)),
        }
    }
}

#[derive(Default)]
struct State {
    volumes: HashMap<Place, BTreeSet<Key>>,
    places: HashMap<Key, Place>,
}

pub struct Offers {
    all: Arc<Informer<PersistentVolume>>,
    state: Arc<Mutex<State>>,
}

impl Offers {
    /// Follows the volumes from now on.
    pub fn of(all: &Arc<Informer<PersistentVolume>>) -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let (ours, informer) = (state.clone(), Arc::downgrade(all));
        all.on_change(move |old, new| {
            let (Some(volume), Some(all)) = (new.or(old), informer.upgrade()) else {
                return;
            };
            let key = Key::of(volume);
            // Changes may be told out of order; what is there now counts.
            let mut state = lock(&ours);
            let now = all.get(&key).map(|volume| Place::of(&volume));
            state.put(key, now);
        });
        Self {
            all: all.clone(),
            state,
        }
    }

    /// Those set aside for the claim's name, then the free ones of its class,
    /// each by name.
    pub fn to(&self, claim: &PersistentVolumeClaim) -> Vec<Arc<PersistentVolume>> {
        let places = [
            Place::Aside(Key::of(claim)),
            Place::Free(claim.class().to_owned()),
        ];
        let keys: Vec<Key> = {
            let state = lock(&self.state);
            let of = places.iter().filter_map(|place| state.volumes.get(place));
            of.flatten().cloned().collect()
        };
        keys.iter().filter_map(|key| self.all.get(key)).collect()
    }
}

impl State {
    fn put(&mut self, key: Key, place: Option<Place>) {
        if let Some(before) = self.places.remove(&key)
            && let Some(there) = self.volumes.get_mut(&before)
        {
            there.remove(&key);
            if there.is_empty() {
                self.volumes.remove(&before);
            }
        }
        if let Some(place) = place {
            let there = self.volumes.entry(place.clone()).or_default();
            there.insert(key.clone());
            self.places.insert(key, place);
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use follow::Event;
    use serde_json::{Value, json};

    fn volume(name: &str, version: u32, class: &str, claim: Value) -> PersistentVolume {
        let spec = json!({ "storageClassName": class, "claimRef": claim });
        let metadata = json!({ "name": name, "resourceVersion": version.to_string() });
        serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).unwrap()
    }

    fn claim(name: &str, class: &str) -> PersistentVolumeClaim {
        let metadata = json!({ "name": name, "namespace": "n" });
        let spec = json!({ "storageClassName": class });
        serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).unwrap()
    }

    #[test]
    fn claim_is_offered_what_is_set_aside_for_it_and_what_is_free_of_its_class() {
        let all = Informer::new();
        let offers = Offers::of(&all);
        let offered = |name: &str, class: &str| -> Vec<String> {
            let offered = offers.to(&claim(name, class));
            offered.iter().map(|v| v.name().to_owned()).collect()
        };
        let whose = |name: &str| json!({ "namespace": "n", "name": name });
        for (at, (name, class, claim)) in [
            ("b", "fast", Value::Null),
            ("a", "fast", Value::Null),
            ("c", "slow", Value::Null),
            ("d", "slow", whose("mine")),
        ]
        .into_iter()
        .enumerate()
        {
            let version = u32::try_from(at + 1).unwrap();
            all.take(Event::Apply(volume(name, version, class, claim)));
        }
        assert_eq!(offered("mine", "fast"), ["d", "a", "b"]);
        assert_eq!(offered("other", "slow"), ["c"]);
        all.take(Event::Apply(volume("a", 8, "fast", whose("other"))));
        all.take(Event::Delete(volume("d", 9, "slow", whose("mine"))));
        assert_eq!(offered("mine", "fast"), ["b"]);
        assert_eq!(offered("other", "slow"), ["a", "c"]);
        assert_eq!(offers.state.lock().unwrap().places.len(), 3);
    }
}

//! Which nodes share a place: the same value of a label such as a zone's.
//!
//! Values are numbered once, so that what is counted by place for every pod is
//! counted in a vector, without looking at labels.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{NodeIndex, NodeInfo};

/// Keys that are kept numbered; pods that name ever others cost a walk of all nodes.
const MOST_KEYS: usize = 64;
/// Places without a node may be as many as those with one, and so many more.
const SPARE_PLACES: usize = 64;

/// The number of a label's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(u32);

/// The places of all nodes by one label key.
#[derive(Debug, Clone, Default)]
pub struct Topology {
    /// By the node's index.
    of_node: Vec<Option<Place>>,
    by_value: HashMap<Box<str>, Place>,
}

/// The topologies that pods have asked for, kept as nodes change.
#[derive(Default)]
pub struct Topologies(RefCell<HashMap<Box<str>, Arc<Topology>>>);

/// A number for each place of a topology.
#[derive(Debug, Clone)]
pub struct Tally {
    pub topology: Arc<Topology>,
    by_place: Vec<i64>,
}

impl Topology {
    /// Where a known node is; none of a node that lacks the label.
    pub fn place(&self, node: NodeIndex) -> Option<Place> {
        self.of_node.get(node.at()).copied().flatten()
    }

    /// No place has a higher number than this.
    pub fn places(&self) -> usize {
        self.by_value.len()
    }

    fn put(&mut self, node: NodeIndex, value: Option<&str>) {
        let place = value.map(|value| self.number(value));
        if self.of_node.len() <= node.at() {
            self.of_node.resize(node.at() + 1, None);
        }
        self.of_node[node.at()] = place;
    }

    fn number(&mut self, value: &str) -> Place {
        if let Some(place) = self.by_value.get(value) {
            return *place;
        }
        let next = u32::try_from(self.by_value.len());
        let place = Place(next.expect("a topology has fewer than 2^32 places"));
        self.by_value.insert(value.into(), place);
        place
    }

    fn has_too_many_places(&self) -> bool {
        self.by_value.len() > 2 * self.of_node.len() + SPARE_PLACES
    }
}

impl Topologies {
    /// The places by `key`, of these nodes where they are not numbered yet.
    pub fn by<'n>(&self, key: &str, nodes: impl Iterator<Item = &'n NodeInfo>) -> Arc<Topology> {
        let mut known = self.0.borrow_mut();
        if let Some(topology) = known.get(key) {
            return topology.clone();
        }
        let mut topology = Topology::default();
        for node in nodes {
            topology.put(node.index, node.label(key));
        }
        if known.len() >= MOST_KEYS {
            known.clear();
        }
        let topology = Arc::new(topology);
        known.insert(key.into(), topology.clone());
        topology
    }

    /// Takes over a node's labels; none of a node that is gone.
    pub fn set(&mut self, node: NodeIndex, labels: Option<&BTreeMap<String, String>>) {
        self.0.get_mut().retain(|key, topology| {
            let value = labels.and_then(|labels| labels.get(&**key));
            let topology = Arc::make_mut(topology);
            topology.put(node, value.map(String::as_str));
            // One with values of old is numbered again when it is asked for.
            !topology.has_too_many_places()
        });
    }
}

impl Tally {
    pub fn new(topology: Arc<Topology>) -> Self {
        Self {
            by_place: vec![0; topology.places()],
            topology,
        }
    }

    /// Counts at the node's place, if it has one.
    pub fn add(&mut self, node: NodeIndex, count: i64) {
        if let Some(Place(place)) = self.topology.place(node) {
            self.by_place[place as usize] += count;
        }
    }

    /// What was counted at the node's place; none if it has no place.
    pub fn at(&self, node: NodeIndex) -> Option<i64> {
        let Place(place) = self.topology.place(node)?;
        Some(self.by_place[place as usize])
    }

    /// By place.
    pub fn counts(&self) -> &[i64] {
        &self.by_place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("zone".to_owned(), value.to_owned())])
    }

    fn node(index: u32) -> NodeIndex {
        NodeIndex(index)
    }

    #[test]
    fn nodes_of_one_value_share_a_place_until_their_label_changes() {
        let mut topologies = Topologies::default();
        topologies.by("zone", std::iter::empty());
        topologies.set(node(0), Some(&zone("a")));
        topologies.set(node(2), Some(&zone("a")));
        let place =
            |topologies: &Topologies, at| topologies.by("zone", std::iter::empty()).place(node(at));
        assert_eq!(place(&topologies, 0), place(&topologies, 2));
        assert_eq!(place(&topologies, 1), None);
        topologies.set(node(2), Some(&zone("b")));
        assert_ne!(place(&topologies, 0), place(&topologies, 2));
        topologies.set(node(0), None);
        assert_eq!(place(&topologies, 0), None);
    }

    #[test]
    fn neither_values_of_old_nor_keys_pile_up() {
        let mut topologies = Topologies::default();
        topologies.by("zone", std::iter::empty());
        for number in 0..10_000 {
            topologies.set(node(0), Some(&zone(&number.to_string())));
            let places = topologies.by("zone", std::iter::empty()).places();
            assert!(places <= SPARE_PLACES + 3, "{places}");
            topologies.by(&number.to_string(), std::iter::empty());
        }
        assert!(topologies.0.borrow().len() <= MOST_KEYS);
    }
}

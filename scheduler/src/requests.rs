//! What a pod asks of a node, and what a node has to give.

use std::collections::BTreeMap;

use apimachinery::quantity::Quantity;

use crate::object::PodSpec;

/// Scores of a pod that asks for nothing count it as this much, so that such
/// pods spread too.
const ASSUMED_MILLI_CPU: i64 = 100;
const ASSUMED_MEMORY: i64 = 200 * 1024 * 1024;

/// Amounts of resources: millicores of CPU, whole units of all else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Amounts {
    pub milli_cpu: i64,
    pub memory: i64,
    pub ephemeral_storage: i64,
    /// Extended resources and huge pages, by name.
    pub others: BTreeMap<String, i64>,
}

/// The name of what there are amounts of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    Cpu,
    Memory,
    EphemeralStorage,
    Other(Box<str>),
}

/// What one pod takes from a node.
#[derive(Debug, Clone, Default)]
pub struct Requests {
    pub amounts: Amounts,
    /// CPU and memory with the assumed minimum, for scoring.
    pub scored_milli_cpu: i64,
    pub scored_memory: i64,
}

impl Resource {
    pub fn of(name: &str) -> Self {
        match name {
            "cpu" => Self::Cpu,
            "memory" => Self::Memory,
            "ephemeral-storage" => Self::EphemeralStorage,
            other => Self::Other(other.into()),
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::EphemeralStorage => "ephemeral-storage",
            Self::Other(name) => name,
        }
    }
}

impl Amounts {
    pub fn get(&self, resource: &Resource) -> i64 {
        match resource {
            Resource::Cpu => self.milli_cpu,
            Resource::Memory => self.memory,
            Resource::EphemeralStorage => self.ephemeral_storage,
            Resource::Other(name) => self.others.get(&**name).copied().unwrap_or(0),
        }
    }

    /// Reads a Kubernetes resource list; what cannot be read counts as nothing
    /// (the API server has validated it).
    pub fn from_list(list: &BTreeMap<String, String>) -> Self {
        let mut amounts = Self::default();
        for (name, text) in list {
            let Ok(quantity) = text.parse::<Quantity>() else {
                continue;
            };
            match name.as_str() {
                "cpu" => amounts.milli_cpu = quantity.milli_value(),
                "memory" => amounts.memory = quantity.value(),
                "ephemeral-storage" => amounts.ephemeral_storage = quantity.value(),
                "pods" => {}
                other => {
                    amounts.others.insert(other.into(), quantity.value());
                }
            }
        }
        amounts
    }

    pub fn add(&mut self, other: &Self) {
        self.combine(other, i64::saturating_add);
    }

    pub fn subtract(&mut self, other: &Self) {
        self.combine(other, i64::saturating_sub);
    }

    /// Raises every amount to at least that of `other`.
    pub fn raise_to(&mut self, other: &Self) {
        self.combine(other, i64::max);
    }

    fn combine(&mut self, other: &Self, op: impl Fn(i64, i64) -> i64) {
        self.milli_cpu = op(self.milli_cpu, other.milli_cpu);
        self.memory = op(self.memory, other.memory);
        self.ephemeral_storage = op(self.ephemeral_storage, other.ephemeral_storage);
        for (name, amount) in &other.others {
            let mine = self.others.entry(name.clone()).or_default();
            *mine = op(*mine, *amount);
        }
    }
}

impl Requests {
    /// The largest sum that is ever needed at once: init containers run one by
    /// one beside the sidecars started before them (KEP-753), then all
    /// containers run together.
    pub fn of(spec: &PodSpec) -> Self {
        let mut running = Amounts::default();
        let mut peak = Amounts::default();
        for init in &spec.init_containers {
            let own = Amounts::from_list(&init.resources.requests);
            let mut now = running.clone();
            now.add(&own);
            peak.raise_to(&now);
            if init.is_sidecar() {
                running.add(&own);
            }
        }
        let mut scored = (running.milli_cpu, running.memory);
        for container in &spec.containers {
            let own = Amounts::from_list(&container.resources.requests);
            scored.0 += at_least(own.milli_cpu, ASSUMED_MILLI_CPU);
            scored.1 += at_least(own.memory, ASSUMED_MEMORY);
            running.add(&own);
        }
        running.raise_to(&peak);
        scored = (scored.0.max(peak.milli_cpu), scored.1.max(peak.memory));
        whole_pod(spec, &mut running, &mut scored);
        let overhead = Amounts::from_list(&spec.overhead);
        running.add(&overhead);
        Self {
            scored_milli_cpu: scored.0 + overhead.milli_cpu,
            scored_memory: scored.1 + overhead.memory,
            amounts: running,
        }
    }
}

/// What is asked for the pod as a whole stands for its containers' (KEP-2837).
fn whole_pod(spec: &PodSpec, sum: &mut Amounts, scored: &mut (i64, i64)) {
    let asked = &spec.resources.requests;
    let whole = Amounts::from_list(asked);
    if asked.contains_key("cpu") {
        (sum.milli_cpu, scored.0) = (whole.milli_cpu, whole.milli_cpu);
    }
    if asked.contains_key("memory") {
        (sum.memory, scored.1) = (whole.memory, whole.memory);
    }
    sum.others.extend(whole.others);
}

fn at_least(amount: i64, assumed: i64) -> i64 {
    if amount == 0 { assumed } else { amount }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::pod_spec::Container;

    fn container(cpu: &str, restart: Option<&str>) -> Container {
        let mut c = Container {
            restart_policy: restart.map(Into::into),
            ..Container::default()
        };
        c.resources.requests.insert("cpu".into(), cpu.into());
        c
    }

    #[test]
    fn pod_needs_the_larger_of_its_init_containers_and_its_containers() {
        let spec = PodSpec {
            init_containers: vec![container("2", None), container("500m", None)],
            containers: vec![container("1", None), container("250m", None)],
            ..PodSpec::default()
        };
        assert_eq!(Requests::of(&spec).amounts.milli_cpu, 2000);
    }

    #[test]
    fn sidecar_adds_to_every_container_that_starts_after_it() {
        let spec = PodSpec {
            init_containers: vec![container("1", Some("Always")), container("2", None)],
            containers: vec![container("1500m", None)],
            ..PodSpec::default()
        };
        assert_eq!(Requests::of(&spec).amounts.milli_cpu, 3000);
    }

    #[test]
    fn overhead_and_extended_resources_are_added_up() {
        let gpu = |n: &str| BTreeMap::from([("example.com/gpu".to_owned(), n.to_owned())]);
        let mut spec = PodSpec {
            containers: vec![container("1", None), container("1", None)],
            overhead: BTreeMap::from([("cpu".to_owned(), "250m".to_owned())]),
            ..PodSpec::default()
        };
        spec.containers[0].resources.requests.extend(gpu("1"));
        spec.containers[1].resources.requests.extend(gpu("2"));
        let amounts = Requests::of(&spec).amounts;
        assert_eq!(amounts.milli_cpu, 2250);
        assert_eq!(amounts.others["example.com/gpu"], 3);
    }

    #[test]
    fn what_the_pod_asks_as_a_whole_stands_for_its_containers() {
        let mut spec = PodSpec {
            containers: vec![container("1", None), Container::default()],
            ..PodSpec::default()
        };
        spec.resources.requests.insert("cpu".into(), "3".into());
        let requests = Requests::of(&spec);
        assert_eq!(requests.amounts.milli_cpu, 3000);
        assert_eq!(requests.scored_milli_cpu, 3000);
    }

    #[test]
    fn pod_without_requests_asks_nothing_but_is_scored_as_something() {
        let spec = PodSpec {
            containers: vec![Container::default()],
            ..PodSpec::default()
        };
        let requests = Requests::of(&spec);
        assert_eq!(requests.amounts, Amounts::default());
        assert_eq!(requests.scored_milli_cpu, ASSUMED_MILLI_CPU);
    }
}

//! What a pod asks of a node, and what a node has to give.

use std::collections::BTreeMap;

use apimachinery::quantity::Quantity;

use crate::object::{Container, PodSpec};

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

/// What one pod takes from a node.
#[derive(Debug, Clone, Default)]
pub struct Requests {
    pub amounts: Amounts,
    /// CPU and memory with the assumed minimum, for scoring.
    pub scored_milli_cpu: i64,
    pub scored_memory: i64,
}

impl Amounts {
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
            if is_sidecar(init) {
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
        let overhead = Amounts::from_list(&spec.overhead);
        running.add(&overhead);
        Self {
            scored_milli_cpu: scored.0.max(peak.milli_cpu) + overhead.milli_cpu,
            scored_memory: scored.1.max(peak.memory) + overhead.memory,
            amounts: running,
        }
    }
}

fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

fn at_least(amount: i64, assumed: i64) -> i64 {
    if amount == 0 { assumed } else { amount }
}

#[cfg(test)]
mod tests {
    use super::*;

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

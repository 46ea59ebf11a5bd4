//! A cluster for a test, made of what the API would say.

use serde_json::{Value, json};

use crate::budgets::Budgets;
use crate::cache::Candidate;
use crate::cluster::Cluster;
use crate::cycle;
use crate::nominations::Nominations;
use crate::object::Pod;
use crate::plugins::Context;
use crate::preemption::{NoWay, Search};
use crate::profile::Profile;
use crate::storage::{Claim, Volume};
use crate::template::Templates;

pub struct World {
    pub cluster: Cluster,
    pub nominations: Nominations,
    pub budgets: Budgets,
    pub profile: Profile,
    templates: Templates,
    turn: usize,
}

/// A node with four CPUs and these labels.
pub fn node(name: &str, labels: Value) -> Value {
    json!({
        "metadata": { "name": name, "labels": labels },
        "status": { "allocatable": { "cpu": "4", "memory": "8Gi", "pods": "110" } },
    })
}

/// A pod in the namespace `d`.
pub fn pod(name: &str, labels: Value, spec: Value) -> Value {
    json!({ "metadata": { "name": name, "namespace": "d", "uid": name, "labels": labels }, "spec": spec })
}

/// A pod that asks for this much CPU.
pub fn asking(name: &str, cpu: &str, priority: i32) -> Value {
    let container = json!({ "resources": { "requests": { "cpu": cpu } } });
    pod(
        name,
        json!({}),
        json!({ "priority": priority, "containers": [container] }),
    )
}

impl World {
    pub fn new(nodes: impl IntoIterator<Item = Value>) -> Self {
        let mut world = Self {
            cluster: Cluster::default(),
            nominations: Nominations::default(),
            budgets: Budgets::default(),
            profile: Profile::named("default-scheduler"),
            templates: Templates::default(),
            turn: 0,
        };
        for node in nodes {
            world.set_node(node);
        }
        world
    }

    pub fn set_node(&mut self, node: Value) {
        let node = serde_json::from_value(node).unwrap();
        self.cluster.cache.set_node(&node);
        self.cluster.cache.sort_nodes();
    }

    pub fn place(&mut self, pod: Value, node: &str) {
        let mut pod: Pod = serde_json::from_value(pod).unwrap();
        let template = self.templates.take(&mut pod);
        self.cluster.cache.set_pod(&pod, node, template);
    }

    pub fn candidate(&mut self, pod: Value) -> Candidate {
        let mut pod: Pod = serde_json::from_value(pod).unwrap();
        let template = self.templates.take(&mut pod);
        Candidate::new(&pod, template)
    }

    pub fn set_claim(&mut self, claim: Value) {
        let claim = Claim::of(serde_json::from_value(claim).unwrap());
        self.cluster.storage.set_claim(claim);
    }

    pub fn set_volume(&mut self, volume: Value) {
        let volume = Volume::of(serde_json::from_value(volume).unwrap());
        let volumes = &mut self.cluster.storage.volumes;
        volumes.insert(volume.name.clone(), volume);
    }

    pub fn context<'a>(&'a self, pod: &'a Candidate) -> Context<'a> {
        Context {
            cluster: &self.cluster,
            pod,
            profile: &self.profile,
        }
    }

    /// The node's name, or why there is none.
    pub fn choose(&mut self, pod: Value) -> Result<String, String> {
        let pod = self.candidate(pod);
        self.choose_for(&pod)
    }

    pub fn choose_for(&mut self, pod: &Candidate) -> Result<String, String> {
        let mut turn = self.turn;
        let chosen = cycle::choose(self.context(pod), &self.nominations, &mut turn);
        self.turn = turn;
        let name = |index| self.cluster.cache.node(index).name.to_string();
        chosen.map(name).map_err(|diagnosis| diagnosis.message())
    }

    /// The node that can be cleared and who has to go from it.
    pub fn preempt(&mut self, pod: Value) -> Result<(String, Vec<String>), NoWay> {
        let pod = self.candidate(pod);
        self.preempt_for(&pod)
    }

    pub fn preempt_for(&self, pod: &Candidate) -> Result<(String, Vec<String>), NoWay> {
        let cx = self.context(pod);
        let diagnosis = cycle::choose(cx, &self.nominations, &mut 0)
            .expect_err("a pod that fits preempts nobody");
        let search = Search {
            cx,
            nominations: &self.nominations,
            budgets: &self.budgets,
            diagnosis: &diagnosis,
        };
        let way = search.run(0)?;
        let node = self.cluster.cache.node(way.node).name.to_string();
        let mut victims: Vec<String> = way.victims.iter().map(|v| v[2..].to_owned()).collect();
        victims.sort();
        Ok((node, victims))
    }
}

//! Whether the pod's volumes are where the node is, or can come to be there.

use k8s_openapi::api::core::v1::TopologySelectorTerm;

use super::{Context, Filter, Plugin, Prepared, Refusal};
use crate::cache::{Candidate, NodeInfo};
use crate::cluster::Cluster;
use crate::happened::Happened;
use crate::storage::{Claim, Plan, Storage, Volume, claims};
use crate::template::Template;

pub const PLUGIN: Plugin = Plugin {
    name: "VolumeBinding",
    weight: 0,
    prepare: Some(prepare),
    score: None,
    helps,
};

const ELSEWHERE: &str = "node(s) didn't match PersistentVolume's node affinity";
const NONE_FREE: &str = "node(s) didn't find available persistent volumes to bind";
const NO_VOLUME: &str = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";
const NOT_BOUND: &str = "pod has unbound immediate PersistentVolumeClaims";

struct Claims<'a> {
    storage: &'a Storage,
    /// Volumes that the pod's claims have; `None`: it does not exist.
    bound: Vec<Option<&'a Volume>>,
    /// Claims that get their volumes once the node is known.
    delayed: Vec<&'a Claim>,
}

fn prepare(cx: Context<'_>) -> Prepared<'_> {
    if cx.pod.template.spec.volumes.is_empty() {
        return Prepared::Skip;
    }
    match Claims::read(cx.cluster, cx.pod) {
        Ok(claims) => Prepared::filter(claims),
        Err(reason) => Prepared::Refused(Refusal::lasting(reason)),
    }
}

/// What has to be written before the pod can be bound to this node.
pub fn plan(cluster: &Cluster, pod: &Candidate, node: &NodeInfo) -> Plan {
    let none = Plan::default();
    if pod.template.spec.volumes.is_empty() {
        return none;
    }
    let read = Claims::read(cluster, pod);
    read.map_or(none, |claims| claims.plan(node).unwrap_or_default())
}

/// All claims of the pod have their volume.
pub fn are_bound(storage: &Storage, pod: &Candidate) -> bool {
    claims(pod).all(|key| storage.claims.get(&key).is_some_and(|claim| claim.is_bound))
}

impl<'a> Claims<'a> {
    /// # Errors
    /// Why the pod can go to no node at all.
    fn read(cluster: &'a Cluster, pod: &Candidate) -> Result<Self, String> {
        let storage = &cluster.storage;
        let mut read = Self {
            storage,
            bound: Vec::new(),
            delayed: Vec::new(),
        };
        for (volume, key) in pod.template.spec.volumes.iter().zip(claims(pod)) {
            let name = key.split_once('/').map_or("", |(_, name)| name);
            let claim = storage
                .claims
                .get(&key)
                .ok_or_else(|| missing(volume, name))?;
            if let Some(problem) = problem(claim) {
                return Err(problem);
            }
            match &claim.volume {
                Some(volume) if claim.is_bound => read.bound.push(storage.volumes.get(volume)),
                None if storage.is_delayed(claim) => read.delayed.push(claim),
                _ => return Err(NOT_BOUND.to_owned()),
            }
        }
        Ok(read)
    }

    fn plan(&self, node: &NodeInfo) -> Option<Plan> {
        let mut plan = Plan::default();
        for claim in &self.delayed {
            let decided = self.storage.decided_node(claim);
            if decided.is_some_and(|decided| *decided != *node.name) {
                return None;
            }
            let found = decided.is_none().then(|| self.smallest(claim, node, &plan));
            match found.flatten() {
                Some(volume) => plan.bind.push((volume.name.clone(), claim.key.clone())),
                None if self.can_provision(claim, node) => plan.provision.push(claim.key.clone()),
                None => return None,
            }
        }
        Some(plan)
    }

    /// The volume kept for the claim, or the smallest that suits it here.
    fn smallest(&self, claim: &Claim, node: &NodeInfo, plan: &Plan) -> Option<&'a Volume> {
        let promised = |volume: &Volume| {
            let to = self.storage.promised_to(&volume.name);
            to.is_some_and(|to| *to != *claim.key)
                || plan.bind.iter().any(|(taken, _)| *taken == volume.name)
        };
        let volumes = self.storage.volumes.values();
        let suiting = volumes.filter(|v| v.suits(claim) && v.reaches(node) && !promised(v));
        suiting.min_by_key(|v| (!v.is_kept_for(claim), v.capacity, &v.name))
    }

    fn can_provision(&self, claim: &Claim, node: &NodeInfo) -> bool {
        let class = self.storage.class_of(claim);
        let Some(class) = class.filter(|_| self.storage.provisioner(claim).is_some()) else {
            return false;
        };
        let allowed = class.allowed_topologies.as_deref().unwrap_or_default();
        allowed.is_empty() || allowed.iter().any(|term| is_within(node, term))
    }
}

fn is_within(node: &NodeInfo, term: &TopologySelectorTerm) -> bool {
    let expressions = term.match_label_expressions.iter().flatten();
    let mut expressions = expressions.map(|expression| {
        let value = node.label(&expression.key);
        value.is_some_and(|value| expression.values.iter().any(|v| v == value))
    });
    expressions.all(|holds| holds)
}

fn missing(volume: &crate::object::pod_spec::Volume, name: &str) -> String {
    match volume {
        crate::object::pod_spec::Volume::Claim { .. } => {
            format!("persistentvolumeclaim {name:?} not found")
        }
        crate::object::pod_spec::Volume::Ephemeral { .. } => format!(
            "waiting for ephemeral volume controller to create the persistentvolumeclaim {name:?}"
        ),
    }
}

fn problem(claim: &Claim) -> Option<String> {
    let name = claim.name();
    if claim.is_lost {
        let volume = claim.volume.as_deref().unwrap_or_default();
        return Some(format!(
            "persistentvolumeclaim {name:?} bound to non-existent persistentvolume {volume:?}"
        ));
    }
    claim
        .is_ending
        .then(|| format!("persistentvolumeclaim {name:?} is being deleted"))
}

impl Filter for Claims<'_> {
    fn check(&self, node: &NodeInfo) -> Result<(), Refusal> {
        let mut reasons = Vec::new();
        if self.bound.iter().any(Option::is_none) {
            reasons.push(NO_VOLUME.into());
        }
        if !self
            .bound
            .iter()
            .flatten()
            .all(|volume| volume.reaches(node))
        {
            reasons.push(ELSEWHERE.into());
        }
        if self.plan(node).is_none() {
            reasons.push(NONE_FREE.into());
        }
        if reasons.is_empty() {
            return Ok(());
        }
        Err(Refusal {
            reasons,
            is_final: true,
        })
    }
}

fn helps(happened: &Happened<'_>, _: &Template) -> bool {
    matches!(happened, Happened::Storage) || happened.node().is_some()
}

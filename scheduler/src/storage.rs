//! Claims and volumes, as far as they say where a pod may go.
//!
//! What a decision takes is taken here at once and given back if the pod does
//! not get there, so that two pods are never promised one volume.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::storage::v1::{CSINode, StorageClass};

pub mod claim;
pub mod volume;

pub use claim::Claim;
pub use volume::Volume;

use crate::cache::Candidate;
use crate::object::pod_spec;
use crate::template::Template;

/// The provisioner of classes whose volumes people make.
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

#[derive(Default)]
pub struct Storage {
    pub claims: HashMap<Arc<str>, Claim>,
    pub volumes: HashMap<String, Volume>,
    pub classes: HashMap<String, StorageClass>,
    /// How many volumes of each driver a node can hold, by node.
    pub limits: HashMap<String, HashMap<String, i64>>,
    /// Volumes that were promised to a claim.
    promised: HashMap<String, Arc<str>>,
    /// Nodes that claims were decided to be provisioned for.
    decided: HashMap<Arc<str>, Arc<str>>,
}

/// What has to be written before a pod can be bound to its node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Volumes with the claims that get them.
    pub bind: Vec<(String, Arc<str>)>,
    /// Claims to be provisioned for the node.
    pub provision: Vec<Arc<str>>,
}

impl Storage {
    /// The class' volumes are chosen or made once a pod is decided on.
    pub fn is_delayed(&self, claim: &Claim) -> bool {
        let class = self.class_of(claim);
        class.is_some_and(|c| c.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer"))
    }

    pub fn class_of(&self, claim: &Claim) -> Option<&StorageClass> {
        self.classes.get(claim.class.as_deref()?)
    }

    /// Who makes volumes for the claim.
    pub fn provisioner(&self, claim: &Claim) -> Option<&str> {
        let class = self.class_of(claim)?;
        Some(class.provisioner.as_str()).filter(|name| *name != NO_PROVISIONER)
    }

    /// The node that the claim is to be provisioned for.
    pub fn decided_node<'a>(&'a self, claim: &'a Claim) -> Option<&'a str> {
        let decided = self.decided.get(&claim.key).map(|node| &**node);
        decided.or(claim.selected_node.as_deref())
    }

    /// Whom the volume was promised to by a decision that is not written yet.
    pub fn promised_to(&self, volume: &str) -> Option<&str> {
        self.promised.get(volume).map(|key| &**key)
    }

    pub fn promise(&mut self, plan: &Plan, node: &Arc<str>) {
        for (volume, claim) in &plan.bind {
            self.promised.insert(volume.clone(), claim.clone());
        }
        for claim in &plan.provision {
            self.decided.insert(claim.clone(), node.clone());
            if let Some(claim) = self.claims.get_mut(claim) {
                claim.was_unselected = false;
            }
        }
    }

    pub fn take_back(&mut self, plan: &Plan) {
        for (volume, _) in &plan.bind {
            self.promised.remove(volume);
        }
        for claim in &plan.provision {
            self.decided.remove(claim);
        }
    }

    /// False if nothing has changed.
    pub fn set_limits(&mut self, node: CSINode) -> bool {
        let drivers = node.spec.drivers.into_iter().filter_map(|driver| {
            let count = driver.allocatable?.count?;
            Some((driver.name, i64::from(count)))
        });
        let name = node.metadata.name.unwrap_or_default();
        let limits: HashMap<String, i64> = drivers.collect();
        let before = self.limits.insert(name, limits.clone());
        before != Some(limits)
    }

    /// Takes over what the API says of a claim.
    pub fn set_claim(&mut self, mut claim: Claim) {
        let before = self.claims.get(&claim.key).filter(|c| c.uid == claim.uid);
        claim.was_unselected = claim.selected_node.is_none()
            && before.is_some_and(|c| c.was_unselected || c.selected_node.is_some());
        self.claims.insert(claim.key.clone(), claim);
    }
}

/// Keys of the claims that a pod of this template and name uses.
pub fn claims_of<'a>(pods: &'a Template, name: &'a str) -> impl Iterator<Item = Arc<str>> + 'a {
    pods.spec.volumes.iter().map(move |volume| match volume {
        pod_spec::Volume::Claim { name } => crate::object::key(&pods.namespace, name),
        pod_spec::Volume::Ephemeral { volume } => {
            crate::object::key(&pods.namespace, &format!("{name}-{volume}"))
        }
    })
}

/// Keys of the claims that the pod uses.
pub fn claims(pod: &Candidate) -> impl Iterator<Item = Arc<str>> + '_ {
    claims_of(&pod.template, pod.name())
}

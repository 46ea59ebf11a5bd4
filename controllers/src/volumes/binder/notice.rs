//! Which claims and volumes a change concerns.

use std::sync::Arc;

use crate::cluster::Cluster;
use crate::key::Key;
use crate::object::volume::ClaimRef;
use crate::object::{PersistentVolume, PersistentVolumeClaim};
use crate::queue::Queue;
use crate::volumes::annotations::BIND_COMPLETED;

/// A claim concerns itself and the volume it has or had.
pub fn claims(cluster: &Cluster, claims: &Arc<Queue>, volumes: &Arc<Queue>) {
    let (claims, volumes) = (claims.clone(), volumes.clone());
    let known = cluster.persistent_volumes.clone();
    cluster.claims.on_change(move |old, new| {
        if let Some(claim) = new {
            claims.add(Key::of(claim));
        }
        if is_same(old, new) {
            return;
        }
        match new.or(old).and_then(PersistentVolumeClaim::volume) {
            Some(volume) => volumes.add(Key::new("", volume)),
            // It may have ended between the two writes of a binding.
            None if new.is_none() => {
                let mut left = known.all();
                left.retain(|volume| old.is_some_and(|claim| volume.is_for(claim)));
                left.iter()
                    .for_each(|volume| volumes.add(Key::of(&**volume)));
            }
            None => {}
        }
    });
}

/// As far as volumes look at claims.
fn is_same(old: Option<&PersistentVolumeClaim>, new: Option<&PersistentVolumeClaim>) -> bool {
    let (Some(old), Some(new)) = (old, new) else {
        return false;
    };
    old.metadata.uid == new.metadata.uid && old.spec.volume_name == new.spec.volume_name
}

/// A volume concerns itself and the claim it is for. One that is free, or gone,
/// concerns all claims that may be after it.
pub fn volumes(cluster: &Cluster, claims: &Arc<Queue>, volumes: &Arc<Queue>) {
    let (claims, volumes) = (claims.clone(), volumes.clone());
    let waiting = cluster.claims.clone();
    cluster.persistent_volumes.on_change(move |old, new| {
        if let Some(volume) = new {
            volumes.add(Key::of(volume));
        }
        let claim_refs = [old, new].into_iter().flatten();
        for claim in claim_refs.filter_map(|volume| volume.spec.claim_ref.as_ref()) {
            claims.add(key(claim));
        }
        let Some(volume) = new.or(old) else { return };
        if new.is_some_and(|volume| volume.spec.claim_ref.is_some()) {
            return;
        }
        let mut after_it = waiting.all();
        after_it.retain(|claim| is_after(claim, volume));
        after_it
            .iter()
            .for_each(|claim| claims.add(Key::of(&**claim)));
    });
}

fn is_after(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> bool {
    match claim.volume() {
        Some(name) => name == volume.name(),
        None => claim.class() == volume.class() && claim.annotation(BIND_COMPLETED).is_none(),
    }
}

/// A class concerns the claims that name it; a default, those that name none.
pub fn classes(cluster: &Cluster, claims: &Arc<Queue>) {
    let (claims, waiting) = (claims.clone(), cluster.claims.clone());
    cluster.storage_classes.on_change(move |_, new| {
        let Some(class) = new else { return };
        let mut of_it = waiting.all();
        of_it.retain(|claim| {
            let is_given_it = class.is_default() && !claim.names_a_class();
            claim.volume().is_none() && (claim.class() == class.name() || is_given_it)
        });
        of_it.iter().for_each(|claim| claims.add(Key::of(&**claim)));
    });
}

pub fn key(claim: &ClaimRef) -> Key {
    Key::new(&claim.namespace, &claim.name)
}

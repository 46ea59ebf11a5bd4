//! Who owns whom, of all objects there are: only what that needs of each.
//!
//! Pure: a change goes in, the uids that are worth a look come out.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::resources::Resource;

pub type Uid = Arc<str>;

pub const FOREGROUND: &str = "foregroundDeletion";
pub const ORPHAN: &str = "orphan";

/// Where an object is in its life, as far as its dependents care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Alive,
    /// Being deleted; its dependents follow when it is gone.
    Ending,
    /// Being deleted, after its dependents.
    EndingAfterDependents,
    /// Being deleted; its dependents stay, and are to be told so first.
    EndingWithoutDependents,
}

#[derive(Debug, Clone)]
pub struct Object {
    pub resource: Arc<Resource>,
    pub namespace: Arc<str>,
    pub name: Box<str>,
    pub owners: Box<[Owner]>,
    pub life: Life,
}

/// A reference to an owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub uid: Uid,
    pub group: Box<str>,
    pub kind: Box<str>,
    pub name: Box<str>,
    /// The owner, ending after its dependents, waits for this one.
    pub is_waited_for: bool,
}

#[derive(Debug, Default)]
pub struct Graph {
    objects: HashMap<Uid, Object>,
    /// Of each owner, there or not.
    dependents: HashMap<Uid, HashSet<Uid>>,
}

pub fn life(meta: &ObjectMeta) -> Life {
    let finalizers = meta.finalizers.as_deref().unwrap_or_default();
    let has = |wanted: &str| finalizers.iter().any(|f| f == wanted);
    match meta.deletion_timestamp {
        None => Life::Alive,
        Some(_) if has(FOREGROUND) => Life::EndingAfterDependents,
        Some(_) if has(ORPHAN) => Life::EndingWithoutDependents,
        Some(_) => Life::Ending,
    }
}

pub fn owners(meta: &ObjectMeta) -> Vec<Owner> {
    let owners = meta.owner_references.as_deref().unwrap_or_default();
    owners.iter().map(owner).collect()
}

fn owner(reference: &OwnerReference) -> Owner {
    let group = reference
        .api_version
        .split_once('/')
        .map_or("", |(group, _)| group);
    Owner {
        uid: reference.uid.as_str().into(),
        group: group.into(),
        kind: reference.kind.as_str().into(),
        name: reference.name.as_str().into(),
        is_waited_for: reference.block_owner_deletion == Some(true),
    }
}

impl Object {
    /// Whether this is what `owner`, on an object in `namespace`, refers to.
    /// An owner in a namespace owns nothing outside of it.
    pub fn is_meant_by(&self, owner: &Owner, namespace: &str) -> bool {
        *self.resource.api.kind == *owner.kind
            && *self.resource.api.group == *owner.group
            && self.name == owner.name
            && (self.namespace.is_empty() || &*self.namespace == namespace)
    }
}

impl Graph {
    pub fn get(&self, uid: &str) -> Option<&Object> {
        self.objects.get(uid)
    }

    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// The objects that name `uid` as an owner, by uid.
    pub fn dependents<'a>(&'a self, uid: &str) -> impl Iterator<Item = (&'a Uid, &'a Object)> {
        let uids = self.dependents.get(uid).into_iter().flatten();
        uids.filter_map(|uid| self.objects.get_key_value(uid))
    }

    /// The dependents that `uid`, ending after them, waits for.
    pub fn waited_for<'a>(&'a self, uid: &'a str) -> impl Iterator<Item = (&'a Uid, &'a Object)> {
        let owner = self.objects.get(uid);
        self.dependents(uid).filter(move |(_, dependent)| {
            let mut refs = dependent.owners.iter().filter(|o| &*o.uid == uid);
            refs.any(|o| {
                o.is_waited_for && owner.is_some_and(|w| w.is_meant_by(o, &dependent.namespace))
            })
        })
    }

    /// Takes in an object as it is now.
    pub fn put(&mut self, uid: Uid, object: Object) -> Vec<Uid> {
        let old = self.objects.remove(&uid);
        let (before, was) = match &old {
            Some(old) => (&*old.owners, old.life),
            None => (&[][..], Life::Alive),
        };
        let mut wake = Vec::new();
        if *before != *object.owners {
            wake.extend(self.waiting(before));
            self.unlink(&uid, before);
            for owner in &object.owners {
                let dependents = self.dependents.entry(owner.uid.clone()).or_default();
                dependents.insert(uid.clone());
            }
            if !object
                .owners
                .iter()
                .all(|o| self.is_alive(o, &object.namespace))
            {
                wake.push(uid.clone());
            }
        }
        if was != object.life {
            wake.extend(self.on_new_life(&uid, object.life));
        }
        self.objects.insert(uid, object);
        wake
    }

    fn on_new_life(&self, uid: &Uid, life: Life) -> Vec<Uid> {
        match life {
            Life::Alive | Life::Ending => Vec::new(),
            Life::EndingWithoutDependents => vec![uid.clone()],
            Life::EndingAfterDependents => {
                let dependents = self.dependents.get(uid).into_iter().flatten();
                std::iter::once(uid).chain(dependents).cloned().collect()
            }
        }
    }

    /// Forgets an object that is gone.
    pub fn remove(&mut self, uid: &str) -> (Option<Object>, Vec<Uid>) {
        let Some(object) = self.objects.remove(uid) else {
            return (None, Vec::new());
        };
        let mut wake = self.waiting(&object.owners);
        self.unlink(uid, &object.owners);
        wake.extend(self.dependents.get(uid).into_iter().flatten().cloned());
        (Some(object), wake)
    }

    /// The uids of a resource's objects that are not in `listed`.
    pub fn unlisted(&self, resource: &Resource, listed: &HashSet<Uid>) -> Vec<Uid> {
        let is_missing = |(uid, object): &(&Uid, &Object)| {
            *object.resource == *resource && !listed.contains(*uid)
        };
        let missing = self.objects.iter().filter(is_missing);
        missing.map(|(uid, _)| uid.clone()).collect()
    }

    /// The objects that name an owner among a resource's objects that is not there.
    pub fn without_owner(&self, resource: &Resource) -> Vec<Uid> {
        let is_lost = |owner: &Owner| {
            *resource.api.kind == *owner.kind
                && *resource.api.group == *owner.group
                && !self.objects.contains_key(&owner.uid)
        };
        let objects = self.objects.iter();
        let lost = objects.filter(|(_, object)| object.owners.iter().any(is_lost));
        lost.map(|(uid, _)| uid.clone()).collect()
    }

    /// Whether the owner is known to be there, and not about to take its
    /// dependents with it.
    pub fn is_alive(&self, owner: &Owner, namespace: &str) -> bool {
        self.objects.get(&owner.uid).is_some_and(|object| {
            object.is_meant_by(owner, namespace) && object.life != Life::EndingAfterDependents
        })
    }

    fn waiting(&self, owners: &[Owner]) -> Vec<Uid> {
        let is_waiting = |owner: &&Owner| {
            let object = self.objects.get(&owner.uid);
            object.is_some_and(|o| o.life == Life::EndingAfterDependents)
        };
        owners
            .iter()
            .filter(is_waiting)
            .map(|o| o.uid.clone())
            .collect()
    }

    fn unlink(&mut self, uid: &str, owners: &[Owner]) {
        for owner in owners {
            if let Some(dependents) = self.dependents.get_mut(&owner.uid) {
                dependents.remove(uid);
                if dependents.is_empty() {
                    self.dependents.remove(&owner.uid);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! A pod's volumes.

use std::collections::HashSet;

use apimachinery::field::Error;
use apimachinery::meta;
use apimachinery::names;

use super::spec::Place;
use super::volume_source;
use crate::errors::{Errors, Seen};
use crate::node::Node;

/// The volumes that are right: only these can be mounted.
#[derive(Default)]
pub struct Known<'a> {
    pub names: HashSet<&'a str>,
    /// Those that are block devices can only be told from their claims.
    pub claims: HashSet<&'a str>,
}

pub fn validate_volumes<'a>(
    volumes: &Node<'a, '_>,
    place: Place,
    errors: &mut Errors,
) -> Known<'a> {
    let mut known = Known::default();
    let mut seen = Seen::new();
    for volume in volumes.items() {
        let before = errors.0.len();
        source(&volume, place, errors);
        let name = volume.at("name");
        errors.require_name(&name, names::dns_label);
        if seen.contains(name.text()) {
            errors.duplicate(&name);
        }
        if errors.0.len() == before {
            seen.insert(name.text().to_owned());
            known.names.insert(name.text());
            if is_claim(&volume) {
                known.claims.insert(name.text());
            }
        }
        foreign_claim(&volume, volumes, place, errors);
    }
    known
}

fn is_claim(volume: &Node) -> bool {
    volume.at("persistentVolumeClaim").exists() || volume.at("ephemeral").exists()
}

/// A claim that is made for an ephemeral volume of the pod is for that volume alone.
fn foreign_claim(volume: &Node, volumes: &Node, place: Place, errors: &mut Errors) {
    let claim = volume.at("persistentVolumeClaim.claimName");
    let Some(pod) = place.pod_name().filter(|_| !claim.is_empty()) else {
        return;
    };
    let made = volumes
        .items()
        .filter(|volume| volume.at("ephemeral").exists())
        .any(|volume| claim.text() == format!("{pod}-{}", volume.at("name").text()));
    if made {
        let why = "must not reference a PVC that gets created for an ephemeral volume";
        errors.invalid(&claim, why);
    }
}

/// Exactly one source.
fn source(volume: &Node, place: Place, errors: &mut Errors) {
    let mut sources = 0;
    for (name, source) in volume.present(volume_source::NAMES) {
        sources += 1;
        if sources > 1 {
            errors.forbidden(&source, "may not specify more than 1 volume type");
        } else {
            volume_source::validate(name, &source, place, errors);
        }
    }
    if sources == 0 {
        errors.required(volume, "must specify a volume type");
    }
    names_that_grow(volume, place, errors);
}

/// Names that something longer is made of must leave room for it.
fn names_that_grow(volume: &Node, place: Place, errors: &mut Errors) {
    let name = volume.at("name");
    let iscsi = volume.at("iscsi");
    let portal = iscsi.at("targetPortal").text();
    if iscsi.at("initiatorName").exists() && name.len() + 1 + portal.len() > 64 {
        errors.invalid_text(&name, volume_source::PORTAL_TOO_LONG);
    }
    let Some(pod) = place.pod_name() else { return };
    if !volume.at("ephemeral").exists() || name.is_empty() {
        return;
    }
    let claim = format!("{pod}-{}", name.text());
    for problem in names::dns_subdomain(&claim) {
        let why = format!("PVC name {claim:?}: {problem}");
        errors.push(Error::invalid(&name.path, name.text(), why));
    }
}

/// The names of the claims that a StatefulSet makes a volume of for each pod.
pub fn claim_names(spec: &Node) -> HashSet<String> {
    let claims = meta::items(spec.value, "volumeClaimTemplates").iter();
    claims.map(|claim| meta::name(claim).to_owned()).collect()
}

pub use super::defaults::default_source;
pub use volume_source::persistent;

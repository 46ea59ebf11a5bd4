//! Which volume a claim gets.

use std::sync::Arc;

use apimachinery::selector::LabelSelector;

use crate::object::{PersistentVolume, PersistentVolumeClaim};
use crate::owner;

/// The volume set aside for the claim, else the one that wastes least: the fewest
/// access modes, then the smallest. Where the claim `waits` for a pod, the scheduler
/// chooses, and only a volume set aside counts.
pub fn best(
    volumes: &[Arc<PersistentVolume>],
    claim: &PersistentVolumeClaim,
    waits: bool,
) -> Option<Arc<PersistentVolume>> {
    let usable = |volume: &&Arc<PersistentVolume>| {
        !volume.is_ending() && is_free_for(volume, claim) && misfit(volume, claim).is_none()
    };
    let mut usable: Vec<_> = volumes.iter().filter(usable).collect();
    if let Some(aside) = usable.iter().find(|volume| volume.is_for(claim)) {
        return Some((*aside).clone());
    }
    if waits {
        return None;
    }
    let selector = claim.spec.selector.as_ref();
    let selector = selector.map(LabelSelector::from_object);
    usable.retain(|volume| match &selector {
        None => volume.phase() == "Available",
        Some(Ok(selector)) => volume.phase() == "Available" && is_selected(selector, volume),
        Some(Err(_)) => false,
    });
    let waste = |volume: &&Arc<PersistentVolume>| (volume.spec.access_modes.len(), volume.size());
    usable.into_iter().min_by_key(waste).cloned()
}

fn is_free_for(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    volume.spec.claim_ref.is_none() || volume.is_for(claim)
}

fn is_selected(selector: &LabelSelector, volume: &PersistentVolume) -> bool {
    // A claim's empty selector selects every volume.
    if selector.is_everything() {
        return true;
    }
    let labels = volume.metadata.labels.as_ref();
    owner::selects(selector, |name| {
        labels.and_then(|l| l.get(name)).map(String::as_str)
    })
}

/// Why the volume cannot be the claim's, in Kubernetes' words.
pub fn misfit(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Option<&'static str> {
    let has = |mode: &String| volume.spec.access_modes.contains(mode);
    if volume.size() < claim.size() {
        return Some("requested PV is too small");
    }
    if volume.class() != claim.class() {
        return Some("storageClassName does not match");
    }
    if attributes(&volume.spec.volume_attributes_class_name)
        != attributes(&claim.spec.volume_attributes_class_name)
    {
        return Some("volumeAttributesClassName does not match");
    }
    if volume.mode() != claim.mode() {
        return Some("incompatible volumeMode");
    }
    if !claim.spec.access_modes.iter().all(has) {
        return Some("incompatible accessMode");
    }
    None
}

fn attributes(class: &Option<String>) -> &str {
    class.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn volume(name: &str, size: &str, modes: &[&str], more: Value) -> Arc<PersistentVolume> {
        let mut spec = json!({ "capacity": { "storage": size }, "accessModes": modes });
        let fields = more.as_object().cloned().unwrap_or_default();
        spec.as_object_mut().unwrap().extend(fields);
        let volume = json!({ "metadata": { "name": name, "labels": { "disk": name } },
            "spec": spec, "status": { "phase": "Available" } });
        Arc::new(serde_json::from_value(volume).unwrap())
    }

    fn claim(more: Value) -> PersistentVolumeClaim {
        let mut spec = json!({ "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } });
        let fields = more.as_object().cloned().unwrap_or_default();
        spec.as_object_mut().unwrap().extend(fields);
        let metadata = json!({ "name": "c", "namespace": "n", "uid": "u" });
        serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).unwrap()
    }

    fn found(volumes: &[Arc<PersistentVolume>], claim: &PersistentVolumeClaim) -> Option<String> {
        best(volumes, claim, false).map(|volume| volume.name().to_owned())
    }

    const ONCE: &[&str] = &["ReadWriteOnce"];

    #[test]
    fn claim_gets_the_volume_that_wastes_least() {
        let volumes = [
            volume("small", "500Mi", ONCE, json!({})),
            volume("large", "8Gi", ONCE, json!({})),
            volume("fit", "2Gi", ONCE, json!({})),
            volume(
                "shared",
                "1Gi",
                &["ReadWriteOnce", "ReadWriteMany"],
                json!({}),
            ),
        ];
        assert_eq!(found(&volumes, &claim(json!({}))).unwrap(), "fit");
        let many = claim(json!({ "accessModes": ["ReadWriteMany"] }));
        assert_eq!(found(&volumes, &many).unwrap(), "shared");
        let chosen = claim(json!({ "selector": { "matchLabels": { "disk": "large" } } }));
        assert_eq!(found(&volumes, &chosen).unwrap(), "large");
        let any = claim(json!({ "selector": {} }));
        assert_eq!(found(&volumes, &any).unwrap(), "fit");
    }

    #[test]
    fn volume_set_aside_goes_to_its_claim_only() {
        let aside = |uid| json!({ "claimRef": { "namespace": "n", "name": "c", "uid": uid } });
        let mine = claim(json!({}));
        for (uid, is_found) in [(json!(null), true), (json!("u"), true), (json!("v"), false)] {
            let volumes = [
                volume("free", "1Gi", ONCE, json!({})),
                volume("aside", "9Gi", ONCE, aside(uid)),
            ];
            let name = if is_found { "aside" } else { "free" };
            assert_eq!(found(&volumes, &mine).unwrap(), name);
            let waiting = best(&volumes, &mine, true);
            assert_eq!(waiting.is_some(), is_found);
        }
        let small = [volume("aside", "1Mi", ONCE, aside(json!(null)))];
        assert_eq!(found(&small, &mine), None);
    }

    #[test]
    fn each_misfit_is_told_in_its_own_words() {
        let volume = volume("v", "1Gi", ONCE, json!({ "storageClassName": "s" }));
        let asked = [
            (
                json!({ "resources": { "requests": { "storage": "2Gi" } } }),
                "requested PV is too small",
            ),
            (
                json!({ "storageClassName": "x" }),
                "storageClassName does not match",
            ),
            (
                json!({ "storageClassName": "s", "volumeAttributesClassName": "x" }),
                "volumeAttributesClassName does not match",
            ),
            (
                json!({ "storageClassName": "s", "volumeMode": "Block" }),
                "incompatible volumeMode",
            ),
            (
                json!({ "storageClassName": "s", "accessModes": ["ReadWriteMany"] }),
                "incompatible accessMode",
            ),
        ];
        for (spec, why) in asked {
            assert_eq!(misfit(&volume, &claim(spec)), Some(why));
        }
        let fits = claim(json!({ "storageClassName": "s" }));
        assert_eq!(misfit(&volume, &fits), None);
    }
}

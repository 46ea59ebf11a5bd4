//! What makes a pod of a StatefulSet this pod and no other.

use serde_json::{Map, Value, json};

use crate::object::{ControllerRevision, Pod, StatefulSet};
use crate::revision;
use crate::workload;

const NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";
const INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";

pub fn name(set: &StatefulSet, ordinal: i64) -> String {
    format!("{}-{ordinal}", set_name(set))
}

fn set_name(set: &StatefulSet) -> &str {
    set.metadata.name.as_deref().unwrap_or_default()
}

/// The place of a pod with a name that the set would give; none for any other.
pub fn ordinal(set: &StatefulSet, pod: &Pod) -> Option<i64> {
    let name = pod.metadata.name.as_deref()?;
    let number = name.strip_prefix(set_name(set))?.strip_prefix('-')?;
    let ordinal: i32 = number.parse().ok()?;
    (ordinal >= 0 && ordinal.to_string() == number).then_some(ordinal.into())
}

pub fn labels(set: &StatefulSet, ordinal: i64) -> [(&'static str, String); 2] {
    [
        (NAME_LABEL, name(set, ordinal)),
        (INDEX_LABEL, ordinal.to_string()),
    ]
}

pub fn has_labels(set: &StatefulSet, pod: &Pod, ordinal: i64) -> bool {
    labels(set, ordinal)
        .iter()
        .all(|(label, value)| pod.labels.get(label) == Some(value))
}

/// The pod of this place, made of the revision's template.
pub fn pod(set: &StatefulSet, revision: &ControllerRevision, ordinal: i64) -> Value {
    let template = revision::template(revision);
    let mut pod = workload::pod_from(set, &template);
    let name = name(set, ordinal);
    let meta = &mut pod["metadata"];
    meta["generateName"] = workload::generated_name(set);
    for (label, value) in labels(set, ordinal) {
        meta["labels"][label] = value.into();
    }
    meta["labels"][revision::POD_LABEL] = revision.name().into();
    meta["name"] = name.clone().into();
    let spec = &mut pod["spec"];
    spec["hostname"] = name.into();
    if !set.spec.service_name.is_empty() {
        spec["subdomain"] = set.spec.service_name.clone().into();
    }
    mount_claims(set, spec, ordinal);
    pod
}

/// The pod's own claims stand before volumes of the template, and in place of
/// those of the same name.
fn mount_claims(set: &StatefulSet, spec: &mut Value, ordinal: i64) {
    let templates = &set.spec.volume_claim_templates;
    if templates.is_empty() {
        return;
    }
    let mut volumes: Vec<Value> = templates
        .iter()
        .map(|template| {
            let claim = claim_name(set, template, ordinal);
            json!({ "name": template["metadata"]["name"],
                "persistentVolumeClaim": { "claimName": claim } })
        })
        .collect();
    let others = spec["volumes"].as_array().into_iter().flatten();
    let is_claim = |volume: &Value| {
        let mut names = templates.iter().map(|t| &t["metadata"]["name"]);
        names.any(|name| name == &volume["name"])
    };
    volumes.extend(others.filter(|v| !is_claim(v)).cloned());
    spec["volumes"] = volumes.into();
}

pub fn claim_name(set: &StatefulSet, template: &Value, ordinal: i64) -> String {
    let name = template["metadata"]["name"].as_str().unwrap_or_default();
    format!("{name}-{}-{ordinal}", set_name(set))
}

/// The claim of one place, as the set's template describes it.
pub fn claim(set: &StatefulSet, template: &Value, ordinal: i64) -> Value {
    let described = &template["metadata"];
    let mut labels: Map<String, Value> =
        described["labels"].as_object().cloned().unwrap_or_default();
    if let Some(selected) = set.spec.selector["matchLabels"].as_object() {
        labels.extend(selected.clone());
    }
    let mut meta = json!({ "name": claim_name(set, template, ordinal) });
    if !labels.is_empty() {
        meta["labels"] = labels.into();
    }
    for part in ["annotations", "finalizers"] {
        if let Some(value) = described.get(part) {
            meta[part] = value.clone();
        }
    }
    json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": meta, "spec": template["spec"] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> StatefulSet {
        serde_json::from_value(json!({
            "metadata": { "name": "db", "namespace": "n", "uid": "u" },
            "spec": { "selector": { "matchLabels": { "app": "a" } }, "serviceName": "svc",
                "template": { "metadata": { "labels": { "app": "a" } }, "spec": {} },
                "volumeClaimTemplates": [{ "metadata": { "name": "data", "labels": { "x": "y" } },
                    "spec": { "accessModes": ["ReadWriteOnce"] } }] } }))
        .unwrap()
    }

    fn named(name: &str) -> Pod {
        serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap()
    }

    #[test]
    fn only_names_that_the_set_gives_have_an_ordinal() {
        let asked = [
            ("db-0", Some(0)),
            ("db-12", Some(12)),
            ("db-01", None),
            ("db-+1", None),
            ("db--1", None),
            ("db-x-1", None),
            ("db1", None),
            ("db-99999999999", None),
        ];
        for (name, expected) in asked {
            assert_eq!(ordinal(&set(), &named(name)), expected, "{name}");
        }
    }

    #[test]
    fn pod_has_name_host_labels_and_claims_of_its_place() {
        let revision = ControllerRevision {
            metadata: serde_json::from_value(json!({ "name": "db-abc" })).unwrap(),
            data: json!({ "spec": { "template": { "$patch": "replace",
                "metadata": { "labels": { "app": "a" } },
                "spec": { "volumes": [{ "name": "data", "emptyDir": {} }, { "name": "tmp", "emptyDir": {} }] } } } }),
            revision: 1,
        };
        let pod = pod(&set(), &revision, 3);
        assert_eq!(pod["metadata"]["name"], "db-3");
        assert_eq!(
            pod["metadata"]["labels"],
            json!({ "app": "a", "controller-revision-hash": "db-abc",
                "apps.kubernetes.io/pod-index": "3", "statefulset.kubernetes.io/pod-name": "db-3" })
        );
        assert_eq!(
            pod["spec"],
            json!({ "hostname": "db-3", "subdomain": "svc", "volumes": [
                { "name": "data", "persistentVolumeClaim": { "claimName": "data-db-3" } },
                { "name": "tmp", "emptyDir": {} }] })
        );
    }

    #[test]
    fn claim_is_labelled_as_its_template_and_its_pods() {
        let set = set();
        let claim = claim(&set, &set.spec.volume_claim_templates[0], 0);
        assert_eq!(claim["metadata"]["name"], "data-db-0");
        assert_eq!(claim["metadata"]["labels"], json!({ "app": "a", "x": "y" }));
        assert_eq!(claim["spec"]["accessModes"][0], "ReadWriteOnce");
    }
}

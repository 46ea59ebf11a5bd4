//! StatefulSet.

use apimachinery::field::Error;
use apimachinery::{meta, names};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::deployment::{count_or_percent, not_over_hundred_percent};
use crate::columns::{self, AGE, Column, NAME};
use crate::core::persistent_volume_claim;
use crate::defaults::{each, is, object, set_default, set_text};
use crate::errors::Errors;
use crate::kind::{Kind, Storage, Subresource};
use crate::label_selector;
use crate::node::Node;
use crate::pod_template;
use crate::prepare;
use crate::scale::ScalePaths;
use crate::text_cells::plain;
use crate::warnings;

pub static KIND: Kind = Kind {
    group: "apps",
    kind: "StatefulSet",
    list_kind: "StatefulSetList",
    plural: "statefulsets",
    singular: "statefulset",
    short_names: &["sts"],
    categories: &["all"],
    subresources: &[
        Subresource::scale(),
        Subresource::status(("apps", "v1", "StatefulSet")),
    ],
    storage: Storage::Stored {
        prefix: "statefulsets",
    },
    default,
    prepare_create: |set| {
        prepare::new_with_status(set);
        set["status"] = json!({"replicas": 0, "availableReplicas": 0});
    },
    prepare_update: prepare::keep_status,
    validate,
    validate_update,
    validate_status_update: validate_status,
    name_rule: names::dns_label,
    columns: &[
        NAME,
        Column::text("Ready", "How many pods are ready, of how many."),
        AGE,
        Column::text("Containers", "Names of each container in the template.").wide(),
        Column::text(
            "Images",
            "Images referenced by each container in the template.",
        )
        .wide(),
    ],
    row,
    scale: Some(ScalePaths::WORKLOAD),
    warnings: stateful_warnings,
    ..Kind::BASE
};

fn default(set: &mut Value) {
    let spec = object(set, "spec");
    set_text(spec, "podManagementPolicy", "OrderedReady");
    let strategy = object(spec, "updateStrategy");
    set_text(strategy, "type", "RollingUpdate");
    if is(strategy, "type", "RollingUpdate") {
        set_default(object(strategy, "rollingUpdate"), "partition", 0);
    }
    let retention = object(spec, "persistentVolumeClaimRetentionPolicy");
    set_text(retention, "whenDeleted", "Retain");
    set_text(retention, "whenScaled", "Retain");
    set_default(spec, "replicas", 1);
    set_default(spec, "revisionHistoryLimit", 10);
    pod_template::default_template(spec);
    each(spec, "volumeClaimTemplates", |claim| {
        set_text(claim, "kind", "PersistentVolumeClaim");
        set_text(claim, "apiVersion", "v1");
        persistent_volume_claim::default_spec(object(claim, "spec"));
        set_text(object(claim, "status"), "phase", "Pending");
    });
}

fn validate(set: &Node, errors: &mut Errors) {
    let spec = set.at("spec");
    let policy = spec.at("podManagementPolicy");
    if errors.require(&policy) && !matches!(policy.text(), "OrderedReady" | "Parallel") {
        errors.invalid(&policy, "must be 'OrderedReady' or 'Parallel'");
    }
    update_strategy(&spec.at("updateStrategy"), errors);
    let retention = spec.at("persistentVolumeClaimRetentionPolicy");
    for field in ["whenDeleted", "whenScaled"] {
        errors.one_of(&retention.at(field), &["Retain", "Delete"]);
    }
    errors.not_negative(&spec.at("replicas"));
    errors.not_negative(&spec.at("minReadySeconds"));
    errors.not_negative(&spec.at("ordinals.start"));
    errors.follows_if_set(&spec.at("serviceName"), names::dns_subdomain);
    let selector = spec.at("selector");
    if let Some(selects) = label_selector::of_workload(&selector, "statefulset", errors) {
        pod_template::validate_workload_template(&spec, &selects, "StatefulSet", errors);
    }
}

fn update_strategy(strategy: &Node, errors: &mut Errors) {
    let (kind, rolling) = (strategy.at("type"), strategy.at("rollingUpdate"));
    match kind.text() {
        "" => errors.required(strategy, ""),
        "OnDelete" => {
            if rolling.exists() {
                errors.invalid(&rolling, "only allowed for updateStrategy 'RollingUpdate'");
            }
        }
        "RollingUpdate" => rolling_update(&rolling, errors),
        _ => errors.invalid(strategy, "must be 'RollingUpdate' or 'OnDelete'"),
    }
}

fn rolling_update(rolling: &Node, errors: &mut Errors) {
    errors.not_negative(&rolling.at("partition"));
    let unavailable = rolling.at("maxUnavailable");
    if !unavailable.exists() {
        return;
    }
    count_or_percent(&unavailable, errors);
    if matches!(plain(unavailable.value).as_str(), "0" | "0%") {
        errors.invalid(&unavailable, "cannot be 0");
    }
    not_over_hundred_percent(&unavailable, errors);
}

const MUTABLE: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

fn validate_update(new: &Node, old: &Node, errors: &mut Errors) {
    validate(new, errors);
    let (spec, before) = (new.at("spec"), old.at("spec"));
    let mut put_back = spec.value.clone();
    for field in MUTABLE {
        prepare::copy_field(&mut put_back, before.value, field);
    }
    if put_back != *before.value {
        let why = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
        errors.forbidden(&spec, why);
    }
}

const COUNTS: [&str; 4] = [
    "readyReplicas",
    "currentReplicas",
    "updatedReplicas",
    "availableReplicas",
];

fn validate_status(new: &Node, old: &Node, errors: &mut Errors) {
    let status = new.at("status");
    errors.not_negative(&status.at("replicas"));
    for field in COUNTS {
        errors.not_negative(&status.at(field));
    }
    for field in ["observedGeneration", "collisionCount"] {
        errors.not_negative(&status.at(field));
    }
    let count = |field| status.at(field).int().unwrap_or(0);
    for field in COUNTS {
        if count(field) > count("replicas") {
            errors.invalid(&status.at(field), "cannot be greater than status.replicas");
        }
    }
    if count("availableReplicas") > count("readyReplicas") {
        let why = "cannot be greater than status.readyReplicas";
        errors.invalid(&status.at("availableReplicas"), why);
    }
    never_fewer_collisions(new, old, errors);
}

/// A count of collisions that went down would make them happen again.
pub fn never_fewer_collisions(new: &Node, old: &Node, errors: &mut Errors) {
    let (now, was) = (
        new.at("status.collisionCount"),
        old.at("status.collisionCount"),
    );
    let count = now.int().unwrap_or(0);
    if was.exists() && (!now.exists() || count < was.int().unwrap_or(0)) {
        let why = "cannot be decremented";
        errors.push(Error::invalid(&now.path, count, why));
    }
}

fn row(set: &Value, now: Timestamp) -> Vec<Value> {
    let count = |path| meta::int(set, path).unwrap_or(0);
    let [containers, images] = pod_template::cells(&set["spec"]["template"]);
    vec![
        columns::name(set),
        format!(
            "{}/{}",
            count("status.readyReplicas"),
            count("spec.replicas")
        )
        .into(),
        columns::age(set, now),
        containers,
        images,
    ]
}

/// Names need be no labels; the sizes of claims count too.
fn stateful_warnings(new: &Value, old: Option<&Value>) -> Vec<String> {
    let mut told = warnings::named_workload(new, old);
    if warnings::is_due(new, old) {
        let object = Node::root(new);
        let spec = object.at("spec");
        for claim in spec.at("volumeClaimTemplates").items() {
            warnings::claim_spec(&claim.at("spec"), &mut told);
        }
        let limit = spec.at("revisionHistoryLimit");
        if limit.int().is_some_and(|count| count < 0) {
            told.push(format!(
                "{}: a negative value retains all historical revisions; a value >= 0 is recommended",
                limit.path
            ));
        }
    }
    told
}

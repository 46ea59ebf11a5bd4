//! StatefulSet.

use apimachinery::meta;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::deployment::{count_or_percent, not_over_hundred_percent};
use crate::columns::{self, AGE, Column, NAME};
use crate::defaults::{each, is, object, set_default, set_text};
use crate::errors::Errors;
use crate::kind::{Kind, Storage, Subresource};
use crate::label_selector;
use crate::node::Node;
use crate::pod_template;
use crate::prepare;
use crate::scale::ScalePaths;

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
        set_text(object(claim, "spec"), "volumeMode", "Filesystem");
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
    for field in ["whenDeleted", "whenScaled"] {
        let policy = spec.at("persistentVolumeClaimRetentionPolicy");
        errors.one_of(&policy.at(field), &["Delete", "Retain"]);
    }
    errors.not_negative(&spec.at("replicas"));
    errors.not_negative(&spec.at("minReadySeconds"));
    errors.not_negative(&spec.at("ordinals.start"));
    let selector = spec.at("selector");
    if let Some(selects) = label_selector::of_workload(&selector, "statefulset", errors) {
        pod_template::validate_workload_template(&spec, &selects, errors);
    }
}

fn update_strategy(strategy: &Node, errors: &mut Errors) {
    let (kind, rolling) = (strategy.at("type"), strategy.at("rollingUpdate"));
    match kind.text() {
        "" => errors.required(&kind, ""),
        "OnDelete" => {
            if rolling.exists() {
                errors.invalid(&rolling, "only allowed for updateStrategy 'RollingUpdate'");
            }
        }
        "RollingUpdate" => {
            errors.not_negative(&rolling.at("partition"));
            let unavailable = rolling.at("maxUnavailable");
            if unavailable.exists() {
                count_or_percent(&unavailable, errors);
                not_over_hundred_percent(&unavailable, errors);
                if unavailable.int() == Some(0) {
                    errors.invalid(&unavailable, "cannot be 0");
                }
            }
        }
        _ => errors.invalid(&kind, "must be 'RollingUpdate' or 'OnDelete'"),
    }
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
    let (spec, before) = (new.at("spec"), old.at("spec"));
    let mut put_back = spec.value.clone();
    for field in MUTABLE {
        prepare::copy_field(&mut put_back, before.value, field);
    }
    if put_back != *before.value {
        let why = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
        errors.forbidden(&spec, why);
    }
    validate(new, errors);
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

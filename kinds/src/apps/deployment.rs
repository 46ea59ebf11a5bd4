//! Deployment.

use apimachinery::field::Error;
use apimachinery::{int_or_percent, meta};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{self, AGE, Column, NAME};
use crate::defaults::{is, object, set_default, set_text};
use crate::errors::Errors;
use crate::kind::{Kind, Storage, Subresource};
use crate::label_selector;
use crate::node::Node;
use crate::pod_template;
use crate::prepare;
use crate::scale::ScalePaths;
use crate::text_cells;
use crate::warnings;

pub static KIND: Kind = Kind {
    group: "apps",
    kind: "Deployment",
    list_kind: "DeploymentList",
    plural: "deployments",
    singular: "deployment",
    short_names: &["deploy"],
    categories: &["all"],
    subresources: &[
        Subresource::scale(),
        Subresource::status(("apps", "v1", "Deployment")),
    ],
    storage: Storage::Stored {
        prefix: "deployments",
    },
    default,
    prepare_create: |deployment| {
        prepare::new_with_status(deployment);
        deployment["status"] = json!({});
    },
    prepare_update: prepare::keep_status,
    prepare_status_update,
    validate,
    validate_update,
    validate_status_update: |new, old, errors| {
        status(new, errors);
        super::stateful_set::never_fewer_collisions(new, old, errors);
    },
    columns: &[
        NAME,
        Column::text("Ready", "Number of the pod with ready state"),
        Column::text("Up-to-date", "How many pods are of the newest template."),
        Column::text("Available", "How many pods have been ready long enough."),
        AGE,
        Column::text("Containers", "Names of each container in the template.").wide(),
        Column::text(
            "Images",
            "Images referenced by each container in the template.",
        )
        .wide(),
        Column::text("Selector", "Which pods belong to the deployment.").wide(),
    ],
    row,
    scale: Some(ScalePaths::WORKLOAD),
    warnings: warnings::named_workload,
    ..Kind::BASE
};

fn default(deployment: &mut Value) {
    let spec = object(deployment, "spec");
    set_default(spec, "replicas", 1);
    let strategy = object(spec, "strategy");
    set_text(strategy, "type", "RollingUpdate");
    if is(strategy, "type", "RollingUpdate") {
        let rolling = object(strategy, "rollingUpdate");
        set_default(rolling, "maxUnavailable", "25%");
        set_default(rolling, "maxSurge", "25%");
    }
    set_default(spec, "revisionHistoryLimit", 10);
    set_default(spec, "progressDeadlineSeconds", 600);
    pod_template::default_template(spec);
}

/// Labels are for the deployment's owner to change, not for who reports its status.
fn prepare_status_update(new: &mut Value, old: &Value) {
    let empty = Value::Null;
    let before = old.get("metadata").unwrap_or(&empty);
    prepare::copy_field(&mut new["metadata"], before, "labels");
    prepare::only_status(new, old);
}

fn validate(deployment: &Node, errors: &mut Errors) {
    let spec = deployment.at("spec");
    errors.not_negative(&spec.at("replicas"));
    let selector = spec.at("selector");
    let selects = label_selector::of_workload(&selector, "deployment", errors);
    if let Some(selects) = selects {
        pod_template::validate_workload_template(&spec, &selects, "ReplicaSet", errors);
    }
    strategy(&spec.at("strategy"), errors);
    errors.not_negative(&spec.at("minReadySeconds"));
    errors.not_negative(&spec.at("revisionHistoryLimit"));
    let deadline = spec.at("progressDeadlineSeconds");
    errors.not_negative(&deadline);
    let ready = spec.at("minReadySeconds").int().unwrap_or(0);
    if deadline.int().is_some_and(|seconds| seconds <= ready) {
        errors.invalid(&deadline, "must be greater than minReadySeconds");
    }
}

fn strategy(strategy: &Node, errors: &mut Errors) {
    let (kind, rolling) = (strategy.at("type"), strategy.at("rollingUpdate"));
    match kind.text() {
        "Recreate" => {
            let why = "may not be specified when strategy `type` is 'Recreate'";
            errors.forbid(&rolling, why);
        }
        "RollingUpdate" if !rolling.exists() => {
            errors.required(&rolling, "this should be defaulted and never be nil");
        }
        "RollingUpdate" => rolling_update(&rolling, errors),
        _ => {
            errors.one_of(&kind, &["Recreate", "RollingUpdate"]);
        }
    }
}

fn rolling_update(rolling: &Node, errors: &mut Errors) {
    let (unavailable, surge) = (rolling.at("maxUnavailable"), rolling.at("maxSurge"));
    count_or_percent(&unavailable, errors);
    count_or_percent(&surge, errors);
    if is_zero(&unavailable) && is_zero(&surge) {
        errors.invalid(&unavailable, "may not be 0 when `maxSurge` is 0");
    }
    not_over_hundred_percent(&unavailable, errors);
}

fn is_zero(node: &Node) -> bool {
    match node.value {
        Value::String(text) => int_or_percent::percent(text) == Some(0),
        value => value.as_i64().unwrap_or(0) == 0,
    }
}

/// A count that is not negative, or a percentage.
pub fn count_or_percent(node: &Node, errors: &mut Errors) {
    if let Some(text) = node.value.as_str() {
        if int_or_percent::percent(text).is_none() {
            let why = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
            errors.invalid(node, why);
        }
        return;
    }
    errors.not_negative(node);
}

pub fn not_over_hundred_percent(node: &Node, errors: &mut Errors) {
    let percent = node.value.as_str().and_then(int_or_percent::percent);
    if percent.is_some_and(|percent| percent > 100) {
        errors.invalid(node, "must not be greater than 100%");
    }
}

fn validate_update(new: &Node, old: &Node, errors: &mut Errors) {
    validate(new, errors);
    errors.immutable(&new.at("spec.selector"), &old.at("spec.selector"));
}

fn status(deployment: &Node, errors: &mut Errors) {
    let status = deployment.at("status");
    let counts = [
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
    ];
    for count in counts {
        errors.not_negative(&status.at(count));
    }
    let count = |field| status.at(field).int().unwrap_or(0);
    let total = count("replicas");
    for field in ["updatedReplicas", "readyReplicas", "availableReplicas"] {
        if count(field) > total {
            let why = "cannot be greater than status.replicas";
            errors.push(Error::invalid(&status.path.child(field), count(field), why));
        }
    }
    if count("availableReplicas") > count("readyReplicas") {
        let why = "cannot be greater than readyReplicas";
        errors.invalid(&status.at("availableReplicas"), why);
    }
}

fn row(deployment: &Value, now: Timestamp) -> Vec<Value> {
    let count = |path| meta::int(deployment, path).unwrap_or(0);
    let template = &deployment["spec"]["template"];
    let [containers, images] = pod_template::cells(template);
    let ready = format!(
        "{}/{}",
        count("status.readyReplicas"),
        count("spec.replicas")
    );
    vec![
        columns::name(deployment),
        ready.into(),
        count("status.updatedReplicas").into(),
        count("status.availableReplicas").into(),
        columns::age(deployment, now),
        containers,
        images,
        text_cells::selector(meta::get(deployment, "spec.selector")).into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(strategy: Value) -> Value {
        let mut deployment = json!({"spec": {"selector": {"matchLabels": {"app": "a"}}, "strategy": strategy,
            "template": {"metadata": {"labels": {"app": "a"}},
                "spec": {"containers": [{"name": "c", "image": "i:1"}]}}}});
        default(&mut deployment);
        deployment
    }

    fn errors(deployment: &Value) -> Vec<String> {
        let errors = Errors::in_object(deployment, validate);
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_defaulted_deployment_is_valid() {
        assert_eq!(errors(&deployment(json!({}))), Vec::<String>::new());
    }

    #[test]
    fn a_deployment_without_a_template_lacks_labels_and_containers() {
        let mut bare = json!({"spec": {"selector": {"matchLabels": {"app": "a"}}}});
        default(&mut bare);
        assert_eq!(
            errors(&bare),
            [
                "spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`",
                "spec.template.spec.containers: Required value",
            ]
        );
    }

    #[test]
    fn a_rollout_must_be_able_to_move() {
        let stuck = json!({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}});
        assert_eq!(
            errors(&deployment(stuck)),
            [
                "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": may not be 0 when `maxSurge` is 0"
            ]
        );
    }
}

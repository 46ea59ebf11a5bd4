//! Pod templates of workloads.

use apimachinery::field::Error;
use apimachinery::selector::LabelSelector;
use serde_json::Value;

use super::{defaults, spec};
use crate::defaults::object;
use crate::errors::Errors;
use crate::node::Node;
use crate::object_meta;
use crate::text_cells::{containers, images};

/// Fills in the template at `parent.template`, made if absent: what it lacks is told
/// field by field.
pub fn default_template(parent: &mut Value) {
    let template = object(parent, "template");
    object(template, "metadata");
    defaults::default_spec(object(template, "spec"));
}

pub fn validate_template(template: &Node, errors: &mut Errors) {
    object_meta::validate_template(&template.at("metadata"), errors);
    spec::validate_spec(&template.at("spec"), spec::Place::Template, errors);
    errors_on_ephemeral(template, errors);
}

fn errors_on_ephemeral(template: &Node, errors: &mut Errors) {
    let ephemeral = template.at("spec.ephemeralContainers");
    if !ephemeral.is_empty() {
        errors.forbidden(
            &ephemeral,
            "ephemeral containers not allowed in pod template",
        );
    }
}

/// The rules shared by all that keep pods running: the selector selects the template,
/// and containers are always restarted.
pub fn validate_workload_template(parent: &Node, selector: &LabelSelector, errors: &mut Errors) {
    let template = parent.at("template");
    let labels = template.at("metadata.labels");
    if !selector.matches(labels.map()) {
        let shown = labels.map().cloned().map_or(Value::Null, Value::Object);
        let why = "`selector` does not match template `labels`";
        errors.push(Error::invalid(&labels.path, shown, why));
    }
    validate_template(&template, errors);
    always_restarts(&template, errors);
}

fn always_restarts(template: &Node, errors: &mut Errors) {
    let policy = template.at("spec.restartPolicy");
    errors.one_of(&policy, &["Always"]);
    let deadline = template.at("spec.activeDeadlineSeconds");
    errors.forbid(
        &deadline,
        "activeDeadlineSeconds in ReplicaSet is not Supported",
    );
}

/// The wide cells of workloads: container names and images.
pub fn cells(template: &Value) -> [Value; 2] {
    [containers(template).into(), images(template).into()]
}

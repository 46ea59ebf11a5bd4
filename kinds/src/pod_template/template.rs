//! Pod templates of workloads.

use std::collections::HashSet;

use apimachinery::field::Error;
use apimachinery::selector::LabelSelector;
use serde_json::Value;

use super::{annotations, defaults, spec, volume};
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
    validate_template_with(template, &HashSet::new(), errors);
}

/// As [`validate_template`], where the pods will have more volumes than it names.
fn validate_template_with(template: &Node, more: &HashSet<String>, errors: &mut Errors) {
    let (metadata, spec) = (template.at("metadata"), template.at("spec"));
    // Kubernetes tells of these as if they stood in the template itself.
    object_meta::labels(&beside(template, &metadata, "labels"), errors);
    object_meta::annotations(&beside(template, &metadata, "annotations"), errors);
    let told = Node::new(metadata.value, template.path);
    annotations::validate(&told, &spec, errors);
    spec::validate_spec_with(&spec, spec::Place::Template, more, errors);
    annotations::agree(&metadata, &spec, errors);
    let ephemeral = spec.at("ephemeralContainers");
    if !ephemeral.is_empty() {
        errors.forbidden(
            &ephemeral,
            "ephemeral containers not allowed in pod template",
        );
    }
}

fn beside<'v, 'b>(
    template: &'b Node<'v, '_>,
    metadata: &Node<'v, '_>,
    field: &'b str,
) -> Node<'v, 'b> {
    Node::new(metadata.at(field).value, template.path.child(field))
}

/// The rules shared by all that keep pods running: the selector selects the template,
/// and containers are always restarted. `owner` is the kind's name in sentences.
pub fn validate_workload_template(
    parent: &Node,
    selector: &LabelSelector,
    owner: &str,
    errors: &mut Errors,
) {
    let template = parent.at("template");
    selects(&template, selector, errors);
    let more = volume::claim_names(parent);
    validate_template_with(&template, &more, errors);
    always_restarts(&template, owner, errors);
}

/// The selector must select what is made from the template.
pub fn selects(template: &Node, selector: &LabelSelector, errors: &mut Errors) {
    let labels = template.at("metadata.labels");
    if !selector.is_everything() && !selector.matches(labels.map()) {
        let shown = labels.map().cloned().map_or(Value::Null, Value::Object);
        let why = "`selector` does not match template `labels`";
        errors.push(Error::invalid(&labels.path, shown, why));
    }
}

pub fn always_restarts(template: &Node, owner: &str, errors: &mut Errors) {
    let policy = template.at("spec.restartPolicy");
    errors.one_of(&policy, &["Always"]);
    let deadline = template.at("spec.activeDeadlineSeconds");
    errors.forbid(
        &deadline,
        &format!("activeDeadlineSeconds in {owner} is not Supported"),
    );
}

/// The wide cells of workloads: container names and images.
pub fn cells(template: &Value) -> [Value; 2] {
    [containers(template).into(), images(template).into()]
}

//! PodTemplate.

use apimachinery::meta;
use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{self, Column, NAME};
use crate::kind::{Kind, Storage};
use crate::node::Node;
use crate::pod_template;
use crate::prepare;
use crate::text_cells;
use crate::warnings;

pub static KIND: Kind = Kind {
    kind: "PodTemplate",
    list_kind: "PodTemplateList",
    plural: "podtemplates",
    singular: "podtemplate",
    storage: Storage::Stored {
        prefix: "podtemplates",
    },
    create_on_update: true,
    default: pod_template::default_template,
    prepare_create: prepare::new_generation,
    prepare_update: prepare::bump_on_content,
    validate: |template, errors| pod_template::validate_template(&template.at("template"), errors),
    validate_update: |new, _, errors| pod_template::validate_template(&new.at("template"), errors),
    columns: &[
        NAME,
        Column::text("Containers", "Names of each container in the template."),
        Column::text(
            "Images",
            "Images referenced by each container in the template.",
        ),
        Column::text("Pod Labels", "The labels the pods get."),
    ],
    row,
    warnings: told,
    ..Kind::BASE
};

fn row(template: &Value, _: Timestamp) -> Vec<Value> {
    let [containers, images] = pod_template::cells(&template["template"]);
    let labels = text_cells::labels(meta::map(template, "template.metadata.labels"));
    vec![columns::name(template), containers, images, labels.into()]
}

fn told(new: &Value, old: Option<&Value>) -> Vec<String> {
    let mut told = Vec::new();
    if old.is_none_or(|old| old["template"] != new["template"]) {
        warnings::template(&Node::root(new).at("template"), &mut told);
    }
    told
}

//! ComponentStatus: computed, not stored.

use apimachinery::meta;
use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{self, Column, NAME};
use crate::kind::{Kind, Scope};

pub static KIND: Kind = Kind {
    kind: "ComponentStatus",
    list_kind: "ComponentStatusList",
    plural: "componentstatuses",
    singular: "componentstatus",
    short_names: &["cs"],
    scope: Scope::Cluster,
    verbs: &["get", "list"],
    columns: &[
        NAME,
        Column::text("Status", "Status of the component conditions"),
        Column::text("Message", "Message of the component conditions"),
        Column::text("Error", "Error of the component conditions"),
    ],
    row,
    deprecation: Some("v1 ComponentStatus is deprecated in v1.19+"),
    ..Kind::BASE
};

fn row(component: &Value, _: Timestamp) -> Vec<Value> {
    let mut conditions = meta::items(component, "conditions").iter();
    let healthy = conditions.find(|condition| meta::text(condition, "type") == "Healthy");
    let text = |field| healthy.map_or("", |condition| meta::text(condition, field));
    let status = match text("status") {
        "True" => "Healthy",
        "False" => "Unhealthy",
        _ => "Unknown",
    };
    vec![
        columns::name(component),
        status.into(),
        text("message").into(),
        text("error").into(),
    ]
}

//! The table of built-in kinds: what the API server knows about each.
//!
//! One file a kind under its group; [`all`] lists them. A kind is a constant [`Kind`] of
//! names and functions over `serde_json::Value`; nothing here does I/O or looks at other
//! objects: that is the API server's admission. See `docs/design/kinds.md`.

pub mod admissionregistration;
pub mod apiextensions;
pub mod apiregistration;
pub mod apps;
pub mod authentication;
pub mod authorization;
pub mod autoscaling;
pub mod batch;
pub mod certificates;
pub mod columns;
pub mod coordination;
pub mod core;
mod defaults;
pub mod discovery;
mod errors;
pub mod events;
pub mod flowcontrol;
mod kind;
mod label_selector;
pub mod networking;
mod node;
pub mod node_group;
pub mod object_meta;
mod pod_template;
pub mod policy;
pub mod prepare;
pub mod rbac;
pub mod resource;
mod resource_names;
pub mod scale;
pub mod scheduling;
pub mod storage;
pub mod storagemigration;
mod table;
mod text_cells;
mod warnings;

pub use columns::Column;
pub use errors::Errors;
pub use kind::{
    ALL_VERBS, CONNECT_VERBS, CREATE_ONLY, Conversion, FieldLabel, Kind, Scope, Storage,
    Subresource, Verbs,
};
pub use node::Node;
pub use table::{all, find, find_kind};

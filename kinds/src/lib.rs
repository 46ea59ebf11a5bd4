//! The table of built-in kinds: what the API server knows about each.
//!
//! One file a kind under its group; [`all`] lists them. A kind is a constant [`Kind`] of
//! names and functions over `serde_json::Value`; nothing here does I/O or looks at other
//! objects: that is the API server's admission. See `docs/design/kinds.md`.

pub mod apps;
pub mod columns;
pub mod coordination;
pub mod core;
mod defaults;
pub mod discovery;
mod errors;
pub mod events;
mod kind;
mod label_selector;
mod node;
pub mod object_meta;
mod pod_template;
pub mod prepare;
pub mod scale;
mod table;
mod text_cells;

pub use columns::Column;
pub use errors::Errors;
pub use kind::{
    ALL_VERBS, CONNECT_VERBS, CREATE_ONLY, Conversion, FieldLabel, Kind, Scope, Storage,
    Subresource, Verbs,
};
pub use node::Node;
pub use table::{all, find, find_kind};

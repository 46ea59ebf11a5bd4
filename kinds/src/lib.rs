//! The table of built-in kinds: what the API server knows about each.
//!
//! One file a kind under its group; [`all`] lists them. A kind is a constant [`Kind`] of
//! names and functions over `serde_json::Value`; nothing here does I/O or looks at other
//! objects: that is the API server's admission. See `docs/design/kinds.md`.

pub mod columns;
pub mod core;
mod kind;
pub mod object_meta;
pub mod prepare;
pub mod scale;
mod table;

pub use columns::Column;
pub use kind::{
    ALL_VERBS, CONNECT_VERBS, CREATE_ONLY, Conversion, FieldLabel, Kind, Scope, Storage,
    Subresource, Verbs,
};
pub use table::{all, find, find_kind};

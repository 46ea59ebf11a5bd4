//! Patches and field ownership: pure functions over JSON values.
//!
//! The four patch types of the API (JSON patch, JSON merge patch, strategic merge
//! patch, server-side apply), and `metadata.managedFields`, as Kubernetes and its
//! structured-merge-diff have them. This crate stores nothing and sets no defaults.

mod apply;
mod configure;
mod error;
mod fields;
mod json;
pub mod managed;
mod merge;
mod strategic;
mod typed;

pub use apply::apply;
pub use configure::configure;
pub use error::{Conflict, Error};
pub use fields::{Element, FieldSet};
pub use json::json;
pub use managed::Writer;
pub use merge::merge;
pub use strategic::{go_text, strategic};

//! What a CustomResourceDefinition says of its objects, compiled once a generation.
//!
//! A [`Schema`] prunes, fills in defaults and validates objects in Kubernetes' words; a
//! [`Version`] adds printer columns and subresources, a [`Definition`] names and versions.
//! Everything here is pure: no I/O, no clock, no panic on what somebody sent. Serving is
//! the API server's. See `docs/design/custom-resources.md`.

pub mod acceptance;
mod columns;
mod correlate;
mod defaults;
mod definition;
mod embedded;
mod formats;
mod go;
mod lists;
mod prune;
mod rules;
mod schema;
pub mod structural;
mod validate;
mod version;

pub use columns::Column;
pub use definition::{Conversion, Definition, Names, Stage, has_condition, stage};
pub use schema::Schema;
pub use version::{Scale, Version};

/// Fields that every whole object has, whatever its schema says.
pub(crate) const OBJECT_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];

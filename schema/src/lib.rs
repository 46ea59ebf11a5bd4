//! Structural schemas of the built-in kinds, and what is done with them alone:
//! decoding (JSON, and Kubernetes' protobuf) in Kubernetes' words, and OpenAPI documents.
//!
//! Schemas are compiled one kind at a time, on first use, from `k8s-openapi`'s
//! JSON schemas; what those lack (patch strategies, list types) comes from the
//! table in [`extensions`]. A definition that several kinds share is compiled once.
//! This crate knows no storage, no defaults and no validation.

mod any;
mod compile;
mod decode;
mod extensions;
mod node;
pub mod openapi;
pub mod protobuf;
mod read;
mod registry;
mod syntax;
mod yaml;

pub use decode::{Problem, decode, strict_text};
pub use node::{Field, List, ListKey, ListKind, Map, Node, Object, Strategy, Width};
pub use read::{Document, SyntaxError, read};
pub use registry::{kinds, of};
pub use yaml::read_yaml;

//! CEL as Kubernetes uses it: rules in CustomResourceDefinitions, admission policies,
//! match conditions of webhooks.
//!
//! An expression is compiled once against an [`Environment`], which says what variables
//! exist and of what [`Type`] they are, and evaluated many times over [`Variables`] that
//! borrow the request's JSON. Every evaluation pays from a [`Budget`]: whatever the
//! expression and the input, it ends in bounded time and memory. The language itself is
//! the `cel` crate's; this crate adds what Kubernetes adds: types and their errors before
//! anything runs, libraries, cost. See `docs/design/expressions.md`.

pub mod admission;
mod authorizer;
mod check;
mod compile;
mod environment;
mod error;
mod library;
mod meter;
mod program;
mod types;
mod value;
mod variables;

pub use authorizer::{Authorizer, Check, Decision};
pub use environment::Environment;
pub use error::{CompileError, EvalError};
pub use meter::Budget;
pub use program::Program;
pub use types::{Object, Type};
pub use value::names::escape as field_name;
pub use variables::Variables;

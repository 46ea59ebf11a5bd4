//! Encryption at rest: a layer over any [`store::Store`] that seals the values
//! of chosen resources before they reach it, and opens them on their way back.
//!
//! What is configured is Kubernetes' `EncryptionConfiguration`: for each
//! resource a list of providers, of which the first writes and all read. A key
//! is rotated by putting the new one first and writing every object again.
//! Values of other resources go through untouched, their bytes shared.
//!
//! A sealed value is bound to its key in the store: moved elsewhere it does not
//! open. What does not open is an error of that read, never a crash and never
//! garbage. Keys, names and sizes of objects are not hidden.

mod cipher;
mod config;
mod error;
mod layer;
mod opened;
mod rules;
mod seal;

pub use config::Config;
pub use error::Error;
pub use layer::{Layer, refuse_sealed};
pub use rules::Resource;

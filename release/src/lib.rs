//! Which release this skiff is, and which it gets on with.
//!
//! The name of the release is a stamp in the binary, in one place: whoever makes
//! packages may stamp a build anew, and a test makes two builds of one.
//! This crate is pure, and knows no API.

mod skew;
mod stamp;
mod version;

pub use skew::{Fit, fit};
pub use stamp::{kubernetes, version};
pub use version::{Release, Version};

/// A text is not what a release or version is called.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error("{0:?} is not a version, as 1.2.3 is")]
    Version(String),
    #[error("{0:?} is not a release of Kubernetes, as v1.2.3 is")]
    Release(String),
}

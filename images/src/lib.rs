//! Container images on one node: pulled from registries, imported from
//! archives, kept by content, unpacked to overlay layers.
//!
//! A blob is visible only after every byte of it was checked against its
//! digest; a layer only after it is unpacked completely; an image only after
//! all its layers are there. Each becomes visible by one `rename`, so a kill at
//! any point leaves nothing half-made. Several processes (the agent and the
//! command line) may use one directory at once.
//!
//! This crate knows no pods and mounts nothing: [`Image::layers`] are the lower
//! directories that the runtime stacks.

mod blobs;
pub mod build;
mod content;
mod copy;
mod credentials;
mod depot;
mod digest;
mod disk;
mod error;
mod image;
mod import;
mod index;
mod layers;
mod limits;
mod manifest;
mod reference;
mod registry;
mod store;
mod tarball;
mod unpack;

pub use credentials::Credentials;
pub use digest::Digest;
pub use error::{Error, Kind, Result};
pub use image::Image;
pub use reference::{InvalidReference, Reference};
pub use registry::{Progress, PullOptions, Registries};
pub use store::{Images, Removed};

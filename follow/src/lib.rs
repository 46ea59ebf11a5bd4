//! Keeps up with a collection of the API: list it, then watch it, for ever.
//!
//! No event is lost, doubled or out of turn: a watch that ends is taken up where
//! it ended, and when that is too long ago everything is listed again. One that
//! cannot be read is an error, and those after it go on. What is read of an object
//! is what its type wants; the rest is stepped over at little cost, for most of an
//! object is of no interest to most of those who follow it.
//!
//! This crate keeps no objects.

mod error;
mod event;
mod lines;
mod objects;
pub mod text;

pub use error::Error;
pub use event::Event;
pub use objects::objects;

//! Values: JSON seen as CEL without copying it, and CEL seen as JSON again.

pub mod json;
pub mod names;
pub mod output;
pub mod size;

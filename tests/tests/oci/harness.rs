//! What the cases stand on: bundles, the runtimes, and a check after each case
//! that nothing of it is left.

pub mod bundle;
pub mod case;
pub mod cgroups;
pub mod console;
pub mod ground;
pub mod outcome;
pub mod rootfs;
pub mod runtime;

pub use bundle::Bundle;
pub use case::Case;
pub(crate) use case::cases;
pub use ground::Ground;
pub use outcome::Outcome;
pub use runtime::Runtime;

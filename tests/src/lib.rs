//! What the end-to-end tests stand on: machines of their own (network
//! namespaces), skiff running on them, the real kubectl, real images and a real
//! registry.
//!
//! Everything a test makes bears the id of its process, so that tests may run
//! beside other copies of themselves, and what a killed test left behind is
//! swept away by the next one ([`sweep`]).

pub mod cache;
pub mod disks;
pub mod etcd;
pub mod hollow;
pub mod image;
pub mod kubectl;
pub mod libraries;
pub mod machine;
pub mod need;
pub mod package;
pub mod registry;
pub mod run;
pub mod skiff;
pub mod stamp;
pub mod sweep;
pub mod vm;
pub mod wait;

pub use etcd::Etcd;
pub use hollow::HollowNodes;
pub use kubectl::Kubectl;
pub use machine::{Machine, Network, Tap};
pub use skiff::Skiff;
pub use vm::Vm;
pub use wait::until;

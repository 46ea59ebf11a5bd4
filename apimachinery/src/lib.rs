//! What every Kubernetes object has in common, and the words the API answers with.
//!
//! Pure functions over text and `serde_json::Value`: no I/O, no clock of its own, no
//! knowledge of any single kind. Error texts are Kubernetes' own, because clients and
//! people match on them.

pub mod backoff;
pub mod cron;
pub mod duration;
pub mod field;
pub mod gvk;
pub mod int_or_percent;
pub mod json_path;
pub mod meta;
pub mod names;
pub mod quantity;
pub mod random;
pub mod selector;
pub mod status;
pub mod time;

pub use gvk::{GroupVersion, GroupVersionKind};
pub use quantity::Quantity;
pub use status::Status;

//! The pod spec, wherever it stands: in a Pod, or in the template of a workload.

mod affinity;
mod container;
pub mod defaults;
mod dns;
mod env;
mod mounts;
mod ports;
mod probe;
mod resources;
mod scheduling;
mod security;
mod spec;
mod template;
pub mod volume;
mod volume_source;

pub use resources::resources;
pub use scheduling::{node_selector, tolerations};
pub use spec::{Place, validate_spec};
pub use template::{cells, default_template, validate_template, validate_workload_template};

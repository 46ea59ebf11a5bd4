//! The pod spec, wherever it stands: in a Pod, or in the template of a workload.

mod affinity;
pub mod annotations;
mod container;
pub mod defaults;
mod dns;
mod env;
mod mounts;
mod os;
mod ports;
mod probe;
mod resources;
mod restart;
mod scheduling;
mod security;
mod spec;
pub mod sums;
mod template;
pub mod volume;
mod volume_source;

pub use resources::{amount_of, container_resource_name, resource_name};
pub use scheduling::{node_selector, tolerations};
pub use spec::{Place, validate_spec};
pub use template::{
    always_restarts, cells, default_template, selects, validate_template,
    validate_workload_template,
};
pub use volume_source::csi_driver;

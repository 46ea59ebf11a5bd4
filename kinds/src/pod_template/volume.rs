//! A pod's volumes.

use apimachinery::names;

use super::volume_source;
use crate::errors::{Errors, Seen};
use crate::node::Node;

pub fn validate_volumes(volumes: &Node, errors: &mut Errors) {
    let mut seen = Seen::new();
    for volume in volumes.items() {
        source(&volume, errors);
        let name = volume.at("name");
        if errors.require_name(&name, names::dns_label) {
            errors.unique(&name, &mut seen);
        }
    }
}

/// Exactly one source.
fn source(volume: &Node, errors: &mut Errors) {
    let mut sources = 0;
    for name in volume_source::NAMES {
        let source = volume.at(name);
        if !source.exists() {
            continue;
        }
        sources += 1;
        if sources > 1 {
            errors.forbidden(&source, "may not specify more than 1 volume type");
        } else {
            volume_source::validate(name, &source, errors);
        }
    }
    if sources == 0 {
        errors.required(volume, "must specify a volume type");
    }
}

pub use super::defaults::default_source;
pub use volume_source::{NAMES as SOURCE_NAMES, host_path, shared as shared_source};

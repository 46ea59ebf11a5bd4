//! `resource.k8s.io`: devices that pods claim.

pub mod device_class;
pub mod device_taint_rule;
mod requests;
pub mod resource_claim;
pub mod resource_claim_template;
pub mod resource_slice;

use apimachinery::field::Error;
use apimachinery::names;

use crate::errors::Errors;
use crate::node::Node;

/// The name of a pool: subdomains between slashes.
fn pool_name(name: &Node, errors: &mut Errors) {
    const MOST: usize = 253;
    if !errors.require(name) {
        return;
    }
    errors.within(name, MOST);
    for part in name.text().split('/') {
        for why in names::dns_subdomain(part) {
            errors.push(Error::invalid(&name.path, part, why));
        }
    }
}

//! Addresses that are not written as they should be.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Warnings;
use crate::node::Node;

/// An address in an unusual form.
pub(crate) fn ip(field: &Node, warnings: &mut Warnings) {
    let (path, text) = (&field.path, field.text());
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => {
            if let Some(four) = address.to_ipv4_mapped() {
                let four = four.to_string();
                warnings.push(format!(
                    "{path}: non-standard IP address {text:?} will be considered invalid in a future Kubernetes release: use {four:?}"
                ));
            } else if address.to_string() != text {
                let canonical = address.to_string();
                warnings.push(format!(
                    "{path}: IPv6 address {text:?} should be in RFC 5952 canonical format ({canonical:?})"
                ));
            }
        }
        Ok(IpAddr::V4(_)) | Err(_) => {}
    }
}

/// A range in an unusual form.
pub(crate) fn cidr(field: &Node, warnings: &mut Warnings) {
    let (path, text) = (&field.path, field.text());
    let Ok(range) = text.parse::<IpNet>() else {
        return;
    };
    let whole = range.trunc().to_string();
    if range.addr() != range.network() {
        let single = format!("{}/{}", range.addr(), range.max_prefix_len());
        warnings.push(format!(
            "{path}: CIDR value {text:?} is ambiguous in this context (should be {whole:?} or {single:?}?)"
        ));
    }
    let canonical = range.to_string();
    if matches!(range, IpNet::V6(_)) && canonical != text {
        warnings.push(format!(
            "{path}: IPv6 CIDR value {text:?} should be in RFC 5952 canonical format ({canonical:?})"
        ));
    }
}

//! Volumes behind a storage network: iSCSI and Fibre Channel.

use crate::errors::Errors;
use crate::node::Node;

pub const PORTAL_TOO_LONG: &str = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.";

pub fn iscsi(source: &Node, errors: &mut Errors) {
    errors.require(&source.at("targetPortal"));
    let name = source.at("iqn");
    if errors.require(&name) {
        initiator(&name, &name, errors);
    }
    let lun = source.at("lun");
    errors.in_range(&lun, 0, 255);
    let authenticates =
        source.at("chapAuthDiscovery").is_true() || source.at("chapAuthSession").is_true();
    if authenticates && !source.at("secretRef").exists() {
        errors.required(&source.at("secretRef"), "");
    }
    let own = source.at("initiatorName");
    if own.exists() {
        initiator(&own, &source.at("initiatorname"), errors);
    }
}

/// `name` is an initiator's name; what is wrong is told of `place`.
fn initiator(name: &Node, place: &Node, errors: &mut Errors) {
    let text = name.text();
    let good = match text.get(..3) {
        Some("iqn") => is_iqn(text),
        Some("eui") => is_hex_name(text, 16),
        Some("naa") => is_hex_name(text, 32),
        _ => {
            let why = "must be valid format starting with iqn, eui, or naa";
            return errors.push(apimachinery::field::Error::invalid(&place.path, text, why));
        }
    };
    if !good {
        let why = "must be valid format";
        errors.push(apimachinery::field::Error::invalid(&place.path, text, why));
    }
}

/// `iqn.2001-04.com.example:storage`.
fn is_iqn(text: &str) -> bool {
    let Some((authority, target)) = text.split_once(':') else {
        return false;
    };
    let parts: Vec<&str> = authority.splitn(3, '.').collect();
    let [_, date, domain] = parts[..] else {
        return false;
    };
    let is_date = date.split_once('-').is_some_and(|(year, month)| {
        let digits =
            |text: &str, many| text.len() == many && text.bytes().all(|b| b.is_ascii_digit());
        digits(year, 4) && digits(month, 2)
    });
    let in_domain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
    let in_target = |c: char| !c.is_whitespace() && !",;*&$|".contains(c);
    is_date
        && !domain.is_empty()
        && domain.bytes().all(in_domain)
        && !target.is_empty()
        && target.chars().all(in_target)
}

fn is_hex_name(text: &str, digits: usize) -> bool {
    text.get(4..)
        .is_some_and(|name| name.len() == digits && name.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// The volume's name and portal end up in one name of limited length.
pub fn portal_fits(source: &Node, volume: &str, errors: &mut Errors) {
    let portal = source.at("targetPortal");
    if source.at("initiatorName").exists() && volume.len() + 1 + portal.len() > 64 {
        let shown = source.at("targetportal");
        errors.push(apimachinery::field::Error::invalid(
            &shown.path,
            portal.text(),
            PORTAL_TOO_LONG,
        ));
    }
}

pub fn fc(source: &Node, errors: &mut Errors) {
    let (targets, wwids, lun) = (
        source.at("targetWWNs"),
        source.at("wwids"),
        source.at("lun"),
    );
    match (targets.is_empty(), wwids.is_empty()) {
        (true, true) => {
            let why = "must specify either targetWWNs or wwids, but not both";
            errors.required(&targets, why);
        }
        (false, false) => {
            let why = "targetWWNs and wwids can not be specified simultaneously";
            errors.invalid(&targets, why);
        }
        _ => {}
    }
    if targets.is_empty() {
        return;
    }
    if lun.exists() {
        errors.in_range(&lun, 0, 255);
    } else {
        errors.required(&lun, "lun is required if targetWWNs is specified");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_iqn_has_a_date_a_domain_and_a_target() {
        for good in [
            "iqn.2001-04.com.example:storage.disk1",
            "iqn.2015-08.a-b.c:x",
        ] {
            assert!(is_iqn(good), "{good}");
        }
        for bad in [
            "iqn.2001-04.com.example",
            "iqn.01-04.com:x",
            "iqn.2001-04.com.example:a b",
        ] {
            assert!(!is_iqn(bad), "{bad}");
        }
    }
}

//! Several sources projected into one volume.

use apimachinery::field::Error;
use apimachinery::names;

use super::files::{downward_file, file_path, keys_to_paths, mode};
use crate::errors::{Errors, Seen};
use crate::label_selector;
use crate::node::Node;

const KINDS: [&str; 6] = [
    "secret",
    "configMap",
    "downwardAPI",
    "serviceAccountToken",
    "clusterTrustBundle",
    "podCertificate",
];
const KEY_TYPES: &[&str] = &[
    "RSA3072",
    "RSA4096",
    "ECDSAP256",
    "ECDSAP384",
    "ECDSAP521",
    "ED25519",
];

pub fn validate(volume: &Node, errors: &mut Errors) {
    mode(&volume.at("defaultMode"), errors);
    let mut paths = Paths {
        volume,
        seen: Seen::new(),
    };
    for source in volume.at("sources").items() {
        let mut count = 0;
        for (kind, part) in source.present(&KINDS) {
            count += 1;
            projection(kind, &part, &mut paths, errors);
        }
        if count > 1 {
            errors.forbidden(
                &source,
                "may not specify more than 1 volume type per source",
            );
        }
    }
}

/// Two sources must not write the same file.
struct Paths<'n> {
    volume: &'n Node<'n, 'n>,
    seen: Seen,
}

impl Paths<'_> {
    fn take(&mut self, path: &str, shown: &str, errors: &mut Errors) {
        if !path.is_empty() && !self.seen.insert(path.to_owned()) {
            let why = "conflicting duplicate paths";
            errors.push(Error::invalid(&self.volume.path, shown, why));
        }
    }
}

fn projection(kind: &str, part: &Node, paths: &mut Paths, errors: &mut Errors) {
    match kind {
        "secret" | "configMap" => {
            let name = part.at("name");
            errors.require(&name);
            keys_to_paths(&part.at("items"), errors);
            for item in part.at("items").items() {
                paths.take(item.at("path").text(), name.text(), errors);
            }
        }
        "downwardAPI" => {
            for item in part.at("items").items() {
                downward_file(part, &item, errors);
                let path = item.at("path").text();
                paths.take(path, path, errors);
            }
        }
        "serviceAccountToken" => token(part, paths.volume, errors),
        "clusterTrustBundle" => {
            trust_bundle(part, errors);
            file_path(&part.at("path"), errors);
            let path = part.at("path").text();
            paths.take(path, path, errors);
        }
        _ => certificate(part, paths, errors),
    }
}

fn token(token: &Node, volume: &Node, errors: &mut Errors) {
    let seconds = token.at("expirationSeconds");
    let value = seconds.int().unwrap_or(0);
    if value < 600 {
        let why = "may not specify a duration less than 10 minutes";
        errors.push(Error::invalid(&seconds.path, value, why));
    } else if value > 1 << 32 {
        let why = "may not specify a duration larger than 2^32 seconds";
        errors.invalid(&seconds, why);
    }
    // Kubernetes tells the path of the volume, not of the token.
    let path = Node::new(token.at("path").value, volume.path.child("path"));
    file_path(&path, errors);
}

fn trust_bundle(part: &Node, errors: &mut Errors) {
    let (name, signer) = (part.at("name"), part.at("signerName"));
    let selector = part.at("labelSelector");
    match (name.exists(), signer.exists()) {
        (true, true) => errors.invalid(part, "only one of name and signerName may be used"),
        (true, false) => {
            errors.require_because(&name, "must be a valid object name");
            for problem in names::dns_subdomain(&name.text().replace(':', ".")) {
                errors.invalid(
                    &name,
                    format!("not a valid clustertrustbundlename: {problem}"),
                );
            }
            if selector.exists() {
                errors.invalid(
                    &selector,
                    "labelSelector must be unset if name is specified",
                );
            }
        }
        (false, true) => {
            errors.require_because(&signer, "must be a valid signer name");
            label_selector::validate(&selector, errors);
        }
        (false, false) => errors.required(part, "either name or signerName must be specified"),
    }
}

fn certificate(part: &Node, paths: &mut Paths, errors: &mut Errors) {
    errors.require(&part.at("signerName"));
    errors.one_of(&part.at("keyType"), KEY_TYPES);
    let seconds = part.at("maxExpirationSeconds");
    if seconds.int().is_some_and(|seconds| seconds < 3600) {
        errors.invalid(
            &seconds,
            "if provided, maxExpirationSeconds must be >= 3600",
        );
    }
    let files = ["credentialBundlePath", "keyPath", "certificateChainPath"];
    let set: Vec<&str> = files
        .into_iter()
        .filter(|file| !part.at(file).is_empty())
        .collect();
    if set.is_empty() {
        let why = "specify at least one of credentialBundlePath, keyPath, and certificateChainPath";
        errors.required(part, why);
    }
    for file in set {
        let path = part.at(file);
        errors.local_non_reserved_path(&path);
        paths.take(path.text(), path.text(), errors);
    }
}

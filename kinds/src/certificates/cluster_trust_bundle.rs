//! ClusterTrustBundle.

use apimachinery::meta;
use jiff::Timestamp;
use serde_json::Value;

use super::certificate_signing_request::signer_name;
use crate::columns::{self, Column, NAME};
use crate::errors::Errors;
use crate::kind::{Kind, Scope, Storage, text_field};
use crate::node::Node;
use crate::text_cells::or_none;

pub static KIND: Kind = Kind {
    group: "certificates.k8s.io",
    kind: "ClusterTrustBundle",
    list_kind: "ClusterTrustBundleList",
    plural: "clustertrustbundles",
    singular: "clustertrustbundle",
    scope: Scope::Cluster,
    storage: Storage::Stored {
        prefix: "clustertrustbundles",
    },
    // Names of a signer's bundles hold colons: the rule on them is below.
    name_rule: apimachinery::names::path_segment,
    validate,
    validate_update: |new, old, errors| {
        validate(new, errors);
        errors.immutable(&new.at("spec.signerName"), &old.at("spec.signerName"));
    },
    columns: &[
        NAME,
        Column::text("SignerName", "Whose certificates the bundle trusts."),
    ],
    row,
    field_labels: &[text_field!("spec.signerName")],
    ..Kind::BASE
};

fn validate(bundle: &Node, errors: &mut Errors) {
    let (signer, name) = (bundle.at("spec.signerName"), bundle.at("metadata.name"));
    if signer.is_empty() {
        if name.text().contains(':') {
            errors.invalid(
                &name,
                "ClusterTrustBundle without signer name must not have \":\" in its name",
            );
        }
    } else {
        signer_name(&signer, errors);
        let prefix = format!("{}:", signer.text().replace('/', ":"));
        if !name.text().starts_with(&prefix) {
            let why = format!(
                "ClusterTrustBundle for signerName {} must be named with prefix {prefix}",
                signer.text()
            );
            errors.invalid(&name, why);
        }
    }
    let trust = bundle.at("spec.trustBundle");
    if !trust.text().contains("-----BEGIN CERTIFICATE-----") {
        let why = "at least one trust anchor must be provided";
        errors.push(apimachinery::field::Error::invalid(
            &trust.path,
            "<value omitted>",
            why,
        ));
    }
}

fn row(bundle: &Value, _: Timestamp) -> Vec<Value> {
    vec![
        columns::name(bundle),
        or_none(meta::text(bundle, "spec.signerName")).into(),
    ]
}

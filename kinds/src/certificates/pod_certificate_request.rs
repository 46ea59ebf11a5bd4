//! PodCertificateRequest.

use serde_json::json;

use super::certificate_signing_request::signer_name;
use crate::errors::Errors;
use crate::kind::{Kind, Storage, Subresource, text_field};
use crate::node::Node;
use crate::prepare;

pub static KIND: Kind = Kind {
    group: "certificates.k8s.io",
    kind: "PodCertificateRequest",
    list_kind: "PodCertificateRequestList",
    plural: "podcertificaterequests",
    singular: "podcertificaterequest",
    subresources: &[Subresource::status((
        "certificates.k8s.io",
        "v1",
        "PodCertificateRequest",
    ))],
    storage: Storage::Stored {
        prefix: "podcertificaterequests",
    },
    prepare_create: |request| request["status"] = json!({}),
    prepare_update: prepare::keep_status_only,
    validate,
    validate_update: |new, old, errors| {
        errors.immutable(&new.at("spec"), &old.at("spec"));
    },
    field_labels: &[
        text_field!("spec.signerName"),
        text_field!("spec.podName"),
        text_field!("spec.nodeName"),
    ],
    ..Kind::BASE
};

fn validate(request: &Node, errors: &mut Errors) {
    let spec = request.at("spec");
    signer_name(&spec.at("signerName"), errors);
    for field in [
        "podName",
        "podUID",
        "serviceAccountName",
        "serviceAccountUID",
        "nodeName",
        "nodeUID",
    ] {
        errors.require(&spec.at(field));
    }
    let seconds = spec.at("maxExpirationSeconds");
    if seconds.exists() {
        errors.in_range(&seconds, 3600, 91 * 24 * 3600);
    }
}

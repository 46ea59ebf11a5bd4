//! CertificateSigningRequest.

mod decision;

use apimachinery::{duration, meta, names};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{self, AGE, Column, NAME};
use crate::errors::{Errors, Seen};
use crate::kind::{GET_PATCH_UPDATE, Kind, Scope, Storage, Subresource, text_field};
use crate::node::Node;
use crate::prepare;
use crate::text_cells;

const SELF: (&str, &str, &str) = ("certificates.k8s.io", "v1", "CertificateSigningRequest");

pub static KIND: Kind = Kind {
    group: "certificates.k8s.io",
    kind: "CertificateSigningRequest",
    list_kind: "CertificateSigningRequestList",
    plural: "certificatesigningrequests",
    singular: "certificatesigningrequest",
    short_names: &["csr"],
    scope: Scope::Cluster,
    subresources: &[
        Subresource::new("approval", SELF, GET_PATCH_UPDATE),
        Subresource::status(SELF),
    ],
    storage: Storage::Stored {
        prefix: "certificatesigningrequests",
    },
    name_rule: names::path_segment,
    prepare_create: |request| request["status"] = json!({}),
    prepare_update: |new, old| {
        // What was asked is not asked differently later.
        prepare::copy_field(new, old, "spec");
        prepare::copy_field(new, old, "status");
    },
    prepare_status_update,
    validate,
    validate_status_update: |new, old, errors| decision::validate(new, old, errors),
    columns: &[
        NAME,
        AGE,
        Column::text("SignerName", "Who is to sign."),
        Column::text("Requestor", "Who asked."),
        Column::text("RequestedDuration", "How long the certificate should hold."),
        Column::text("Condition", "Whether it was approved, denied, issued."),
    ],
    row,
    field_labels: &[text_field!("spec.signerName")],
    ..Kind::BASE
};

/// `/status` issues the certificate; it does not approve.
fn prepare_status_update(new: &mut Value, old: &Value) {
    let is_decision =
        |condition: &Value| matches!(meta::text(condition, "type"), "Approved" | "Denied");
    let before = meta::items(old, "status.conditions").iter();
    let mut conditions: Vec<Value> = before.filter(|c| is_decision(c)).cloned().collect();
    let others = meta::items(new, "status.conditions").iter();
    conditions.extend(others.filter(|c| !is_decision(c)).cloned());
    if !conditions.is_empty() {
        meta::set(new, "status.conditions", conditions);
    }
    prepare::only_status(new, old);
}

const TEN_MINUTES: i64 = 600;

/// What a certificate may be asked for.
const USAGES: &[&str] = &[
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

fn validate(request: &Node, errors: &mut Errors) {
    let spec = request.at("spec");
    let body = spec.at("request");
    let pem = BASE64.decode(body.text()).unwrap_or_default();
    let pem = String::from_utf8_lossy(&pem);
    if !pem.contains("-----BEGIN CERTIFICATE REQUEST-----")
        && !pem.contains("-----BEGIN NEW CERTIFICATE REQUEST-----")
    {
        errors.invalid(&body, "PEM block type must be CERTIFICATE REQUEST");
    }
    let usages = spec.at("usages");
    errors.require(&usages);
    let mut seen = Seen::new();
    for usage in usages.items() {
        errors.one_of(&usage, USAGES);
        errors.unique(&usage, &mut seen);
    }
    let signer = spec.at("signerName");
    signer_name(&signer, errors);
    if signer.text() == "kubernetes.io/legacy-unknown" {
        let why = "the legacy signerName is not allowed via this API version";
        errors.invalid(&signer, why);
    }
    let seconds = spec.at("expirationSeconds");
    if seconds.int().is_some_and(|seconds| seconds < TEN_MINUTES) {
        errors.invalid(
            &seconds,
            "may not specify a duration less than 600 seconds (10 minutes)",
        );
    }
}

pub fn signer_name(signer: &Node, errors: &mut Errors) {
    if !errors.require(signer) {
        return;
    }
    let text = signer.text();
    match text.split_once('/') {
        None => errors.invalid(
            signer,
            "must be a fully qualified domain and path of the form 'example.com/signer-name'",
        ),
        Some((domain, path)) => {
            for problem in names::dns_subdomain(domain) {
                errors.invalid(signer, format!("validating domain segment: {problem}"));
            }
            for part in path.split('.') {
                for problem in names::dns_label(part) {
                    errors.invalid(signer, format!("validating path segment: {problem}"));
                }
            }
        }
    }
}

fn row(request: &Value, now: Timestamp) -> Vec<Value> {
    let asked = meta::int(request, "spec.expirationSeconds");
    vec![
        columns::name(request),
        columns::age(request, now),
        text_cells::or_none(meta::text(request, "spec.signerName")).into(),
        meta::text(request, "spec.username").into(),
        asked
            .map_or(text_cells::NONE.to_owned(), duration::human)
            .into(),
        condition(request).into(),
    ]
}

fn condition(request: &Value) -> String {
    let has = |kind: &str| {
        let mut conditions = meta::items(request, "status.conditions").iter();
        conditions.any(|condition| meta::text(condition, "type") == kind)
    };
    let mut words = Vec::new();
    for word in ["Approved", "Denied", "Failed"] {
        if has(word) {
            words.push(word);
        }
    }
    if words.is_empty() {
        words.push("Pending");
    }
    if !meta::text(request, "status.certificate").is_empty() {
        words.push("Issued");
    }
    words.join(",")
}

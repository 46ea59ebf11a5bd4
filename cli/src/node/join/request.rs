//! One CertificateSigningRequest, from the asking to the certificate.

use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::api::PostParams;
use kube::runtime::wait::await_condition;
use kube::{Api, Client};
use serde_json::json;

pub const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client-kubelet";
pub const SERVING_SIGNER: &str = "kubernetes.io/kubelet-serving";

const DAY: u32 = 24 * 3600;
const SIGNED_WITHIN: Duration = Duration::from_secs(60);
/// Why nobody but a person approves the request.
const WAITS: &str = "skiff.dev/waits-for-approval";

/// Asks for a certificate of a day, and waits until it is signed. One that waits
/// for a person is waited for, for as long as it is there.
pub async fn certificate(client: &Client, signer: &str, csr_pem: &str) -> anyhow::Result<String> {
    let api: Api<CertificateSigningRequest> = Api::all(client.clone());
    let made = api
        .create(&PostParams::default(), &object(signer, csr_pem)?)
        .await
        .context("ask the server for a certificate")?;
    let name = made
        .metadata
        .name
        .context("the server made a request without a name")?;
    let answered = await_condition(api.clone(), &name, |csr: Option<&_>| {
        is_decided(csr) || why_it_waits(csr).is_some()
    });
    let answered = tokio::time::timeout(SIGNED_WITHIN, answered)
        .await
        .with_context(|| format!("certificate request {name} was not signed within a minute"))??;
    let decided = match why_it_waits(answered.as_ref()) {
        Some(why) if !is_decided(answered.as_ref()) => {
            eprintln!("waiting for: kubectl certificate approve {name}\nbecause {why}");
            await_condition(api, &name, is_decided).await?
        }
        _ => answered,
    };
    match decided.and_then(|csr| csr.status?.certificate) {
        Some(cert) => String::from_utf8(cert.0).context("the signed certificate is not PEM"),
        None => bail!("certificate request {name} was denied; see: kubectl describe csr {name}"),
    }
}

fn object(signer: &str, csr_pem: &str) -> anyhow::Result<CertificateSigningRequest> {
    let usage = if signer == SERVING_SIGNER {
        "server auth"
    } else {
        "client auth"
    };
    Ok(serde_json::from_value(json!({
        "metadata": { "generateName": "node-csr-" },
        "spec": {
            "request": STANDARD.encode(csr_pem),
            "signerName": signer,
            "expirationSeconds": DAY,
            "usages": ["digital signature", usage],
        },
    }))?)
}

fn why_it_waits(csr: Option<&CertificateSigningRequest>) -> Option<String> {
    let annotations = csr?.metadata.annotations.as_ref()?;
    annotations.get(WAITS).cloned()
}

/// One that is gone is decided too: nobody will answer it.
fn is_decided(csr: Option<&CertificateSigningRequest>) -> bool {
    let Some(csr) = csr else { return true };
    csr.status.as_ref().is_some_and(|status| {
        let conditions = status.conditions.as_deref().unwrap_or_default();
        status.certificate.is_some() || conditions.iter().any(|c| c.type_ != "Approved")
    })
}

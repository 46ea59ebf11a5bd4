//! Whether the cluster's roles let whoever asks have what they ask for.

use std::collections::BTreeMap;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::Api;
use kube::api::PostParams;

use crate::cluster::Cluster;
use crate::error::Error;
use crate::key::Key;

/// Asks for each in turn, as whoever made the request, until one is held.
pub async fn is_held(
    cluster: &Cluster,
    key: &Key,
    request: &CertificateSigningRequest,
    permissions: &[&str],
) -> Result<bool, Error> {
    let reviews: Api<SubjectAccessReview> = Api::all(cluster.client.clone());
    for permission in permissions {
        let review = review(request, permission);
        let answer = reviews.create(&PostParams::default(), &review).await;
        let answer = answer.map_err(Error::api("review", "CertificateSigningRequest", key))?;
        if answer.status.is_some_and(|status| status.allowed) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn review(request: &CertificateSigningRequest, permission: &str) -> SubjectAccessReview {
    let spec = &request.spec;
    let extra: Option<BTreeMap<_, _>> = spec.extra.clone();
    SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: spec.username.clone(),
            uid: spec.uid.clone(),
            groups: spec.groups.clone(),
            extra,
            resource_attributes: Some(ResourceAttributes {
                group: Some("certificates.k8s.io".into()),
                version: Some("*".into()),
                resource: Some("certificatesigningrequests".into()),
                subresource: Some(permission.into()),
                verb: Some("create".into()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    }
}

//! One webhook of a configuration, ready to be asked.

use std::time::Duration;

use apimachinery::meta;
use serde_json::Value;

use super::super::evaluation::Conditions;
use super::super::matching::Criteria;
use crate::webhook::{Endpoint, Error};

/// What becomes of a write when the webhook cannot be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    Refuse,
    GoOn,
}

/// Which `AdmissionReview` the webhook understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReviewVersion {
    V1,
    V1Beta1,
}

impl ReviewVersion {
    pub fn api_version(self) -> &'static str {
        match self {
            Self::V1 => "admission.k8s.io/v1",
            Self::V1Beta1 => "admission.k8s.io/v1beta1",
        }
    }
}

#[derive(Debug)]
pub struct Hook {
    pub configuration: String,
    pub name: String,
    pub criteria: Criteria,
    pub conditions: Conditions,
    pub endpoint: Result<Endpoint, String>,
    pub timeout: Duration,
    pub on_failure: OnFailure,
    /// Is asked again when a later webhook changed the object.
    pub reinvokes: bool,
    /// Must not be asked in a dry run.
    pub has_side_effects: bool,
    /// None: it understands no version that is known here.
    pub version: Option<ReviewVersion>,
}

const TIMEOUT_DEFAULT: i64 = 10;

impl Hook {
    pub fn read(configuration: &str, webhook: &Value) -> Self {
        let seconds = meta::int(webhook, "timeoutSeconds").unwrap_or(TIMEOUT_DEFAULT);
        let endpoint = Endpoint::read(&webhook["clientConfig"]);
        Self {
            configuration: configuration.to_owned(),
            name: meta::text(webhook, "name").to_owned(),
            criteria: Criteria::read(meta::items(webhook, "rules"), &[], webhook),
            conditions: Conditions::read(
                meta::items(webhook, "matchConditions"),
                &expressions::admission::match_conditions(),
            ),
            endpoint: endpoint.map_err(|error: Error| error.to_string()),
            timeout: Duration::from_secs(seconds.clamp(1, 30).unsigned_abs()),
            on_failure: match meta::text(webhook, "failurePolicy") {
                "Ignore" => OnFailure::GoOn,
                _ => OnFailure::Refuse,
            },
            reinvokes: meta::text(webhook, "reinvocationPolicy") == "IfNeeded",
            has_side_effects: !matches!(
                meta::text(webhook, "sideEffects"),
                "None" | "NoneOnDryRun"
            ),
            version: version(webhook),
        }
    }
}

fn version(webhook: &Value) -> Option<ReviewVersion> {
    let mut versions = meta::items(webhook, "admissionReviewVersions").iter();
    versions.find_map(|version| match version.as_str()? {
        "v1" => Some(ReviewVersion::V1),
        "v1beta1" => Some(ReviewVersion::V1Beta1),
        _ => None,
    })
}

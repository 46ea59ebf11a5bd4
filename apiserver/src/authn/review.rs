//! TokenReview: another server asks whose token it was shown.

use serde_json::{Value, json};

use super::Authenticator;
use crate::reviews::user_info;

/// The `status` of the review.
pub async fn token(authn: &Authenticator, review: &Value) -> Value {
    let spec = &review["spec"];
    let token = spec["token"].as_str().unwrap_or("");
    let wanted: Vec<String> = spec["audiences"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|a| a.as_str().map(str::to_owned))
        .collect();
    let own = authn.service_accounts().audiences();
    let audiences = if wanted.is_empty() {
        own.to_vec()
    } else {
        wanted
    };
    if let Some(verified) = authn
        .service_accounts()
        .authenticate(token, Some(&audiences))
        .await
    {
        return json!({
            "authenticated": true,
            "user": user_info(&verified.user),
            "audiences": verified.audiences,
        });
    }
    // Tokens that name no audience are for this server's. One of a service account
    // does, and was refused.
    let shared: Vec<&String> = audiences.iter().filter(|a| own.contains(a)).collect();
    if !shared.is_empty()
        && !authn.service_accounts().is_meant(token)
        && let Some(user) = authn.of_token(token).await
    {
        return json!({ "authenticated": true, "user": user_info(&user), "audiences": shared });
    }
    json!({ "user": {}, "error": "invalid bearer token" })
}

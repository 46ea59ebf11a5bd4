//! Registry credentials from a pod's `imagePullSecrets`.

use base64::Engine as _;
use images::{Credentials, Reference};
use k8s_openapi::api::core::v1::{PodSpec, Secret};
use serde_json::Value;

use crate::env::Lookup;

/// The first credentials among the pod's secrets that are for the image's
/// registry. A secret that is missing or unreadable is passed over, as in Kubernetes.
pub async fn find(spec: &PodSpec, image: &Reference, lookup: &impl Lookup) -> Option<Credentials> {
    for reference in spec.image_pull_secrets.iter().flatten() {
        let Ok(Some(secret)) = lookup.secret(&reference.name).await else {
            continue;
        };
        if let Some(found) = in_secret(&secret, image.registry(), image.repository()) {
            return Some(found);
        }
    }
    None
}

fn in_secret(secret: &Secret, registry: &str, repository: &str) -> Option<Credentials> {
    let data = secret.data.as_ref()?;
    let entries = match (data.get(".dockerconfigjson"), data.get(".dockercfg")) {
        (Some(json), _) => serde_json::from_slice::<Value>(&json.0)
            .ok()?
            .get("auths")?
            .clone(),
        (None, Some(json)) => serde_json::from_slice(&json.0).ok()?,
        (None, None) => return None,
    };
    let full = format!("{registry}/{repository}");
    let entries = entries.as_object()?.iter();
    let best = entries
        .filter(|(key, _)| is_for(key, registry, &full))
        .max_by_key(|(key, _)| key.len());
    best.and_then(|(_, entry)| credentials(entry))
}

/// Whether a key such as `https://index.docker.io/v1/` or `ghcr.io/team` is
/// for this image.
fn is_for(key: &str, registry: &str, image: &str) -> bool {
    let key = key
        .trim_start_matches("https://")
        .trim_start_matches("http://")
        .trim_end_matches('/');
    let docker = |host: &str| {
        matches!(
            host,
            "docker.io" | "index.docker.io" | "registry-1.docker.io"
        )
    };
    let (host, path) = key.split_once('/').unwrap_or((key, ""));
    let same_host =
        host == registry || docker(host) && docker(registry) || wildcard(host, registry);
    let path = path
        .trim_start_matches("v1")
        .trim_start_matches("v2")
        .trim_start_matches('/');
    let repository = image
        .split_once('/')
        .map_or("", |(_, repository)| repository);
    same_host
        && (path.is_empty() || repository == path || repository.starts_with(&format!("{path}/")))
}

/// `*.example.com` matches one label more.
fn wildcard(pattern: &str, host: &str) -> bool {
    let parts = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
    let (pattern, host) = (parts(pattern), parts(host));
    pattern.len() == host.len() && pattern.iter().zip(&host).all(|(p, h)| p == "*" || p == h)
}

fn credentials(entry: &Value) -> Option<Credentials> {
    let text = |name: &str| {
        entry
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    if let Some(token) = text("identitytoken") {
        return Some(Credentials::Identity { token });
    }
    if let Some(token) = text("registrytoken") {
        return Some(Credentials::Registry { token });
    }
    let from_auth = text("auth").and_then(|auth| {
        let decoded = base64::engine::general_purpose::STANDARD
            .decode(auth)
            .ok()?;
        let decoded = String::from_utf8(decoded).ok()?;
        decoded
            .split_once(':')
            .map(|(user, password)| (user.to_owned(), password.to_owned()))
    });
    let (username, password) = text("username").zip(text("password")).or(from_auth)?;
    Some(Credentials::Basic { username, password })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn find_in(auths: Value, registry: &str, repository: &str) -> Option<Credentials> {
        let json = json!({ "auths": auths }).to_string();
        let data = base64::engine::general_purpose::STANDARD.encode(json);
        let secret: Secret =
            serde_json::from_value(json!({"data": {".dockerconfigjson": data}})).unwrap();
        in_secret(&secret, registry, repository)
    }

    fn basic(username: &str) -> Option<Credentials> {
        Some(Credentials::Basic {
            username: username.into(),
            password: "p".into(),
        })
    }

    #[test]
    fn the_most_specific_entry_wins() {
        let auths = json!({"r.io": {"username": "a", "password": "p"}, "r.io/team": {"username": "b", "password": "p"}});
        assert_eq!(find_in(auths.clone(), "r.io", "team/x"), basic("b"));
        assert_eq!(find_in(auths.clone(), "r.io", "teamwork/x"), basic("a"));
        assert_eq!(find_in(auths, "other.io", "team/x"), None);
    }

    #[test]
    fn docker_hub_has_several_names_and_auth_is_base64() {
        let auths = json!({"https://index.docker.io/v1/": {"auth": "dTpw"}});
        assert_eq!(find_in(auths, "docker.io", "library/x"), basic("u"));
    }
}

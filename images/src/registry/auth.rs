//! What a registry demands in `WWW-Authenticate`, and getting it.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::{
    Error,
    transport::{self, Transport},
};
use crate::Credentials;

/// What the registry wants to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    Basic,
    /// A token from the server at `realm`.
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
}

/// The challenge in an answer; `Bearer` where there are several.
pub fn challenge(headers: &HeaderMap) -> Option<Challenge> {
    let values = headers.get_all(header::WWW_AUTHENTICATE);
    let challenges: Vec<_> = values
        .iter()
        .filter_map(|v| v.to_str().ok())
        .filter_map(parse)
        .collect();
    let bearer = challenges
        .iter()
        .find(|challenge| **challenge != Challenge::Basic);
    bearer.or(challenges.first()).cloned()
}

fn parse(value: &str) -> Option<Challenge> {
    let (scheme, rest) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let (mut realm, mut service, mut scope) = (None, None, None);
    for (key, value) in parameters(rest) {
        match key.to_ascii_lowercase().as_str() {
            "realm" => realm = Some(value),
            "service" => service = Some(value),
            "scope" => scope = Some(value),
            _ => {}
        }
    }
    Some(Challenge::Bearer {
        realm: realm?,
        service,
        scope,
    })
}

/// `key="value, with commas", key=value`.
fn parameters(mut text: &str) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    while let Some((key, rest)) = text.split_once('=') {
        let key = key.trim_matches([' ', ',']);
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once(',').unwrap_or((rest, "")),
        };
        found.push((key, value.trim().to_owned()));
        text = rest;
    }
    found
}

/// The `Authorization` that meets the challenge.
pub async fn answer(
    transport: &Transport,
    challenge: &Challenge,
    credentials: Option<&Credentials>,
    repository: &str,
    registry_is_plain: bool,
) -> Result<HeaderValue, Error> {
    match (challenge, credentials) {
        (Challenge::Basic, Some(Credentials::Basic { username, password })) => {
            Ok(basic(username, password))
        }
        (Challenge::Basic, _) => Err(Error::Denied {
            message: "authorization failed: no basic auth credentials".to_owned(),
        }),
        (Challenge::Bearer { .. }, Some(Credentials::Registry { token })) => bearer(token),
        (
            Challenge::Bearer {
                realm,
                service,
                scope,
            },
            credentials,
        ) => {
            let uri = realm_uri(realm, registry_is_plain)?;
            let scope = scope
                .clone()
                .unwrap_or_else(|| format!("repository:{repository}:pull"));
            let whose = if credentials.is_some() {
                "oauth"
            } else {
                "anonymous"
            };
            let token = fetch(transport, &uri, service.as_deref(), &scope, credentials).await;
            bearer(&token.map_err(|source| Error::Token {
                whose,
                source: Box::new(source),
            })?)
        }
    }
}

async fn fetch(
    transport: &Transport,
    realm: &Uri,
    service: Option<&str>,
    scope: &str,
    credentials: Option<&Credentials>,
) -> Result<String, Error> {
    let mut form = format!("scope={}", encode(scope));
    if let Some(service) = service {
        form = format!("service={}&{form}", encode(service));
    }
    let mut headers = HeaderMap::new();
    let (method, uri, body) = match credentials {
        Some(Credentials::Identity { token }) => {
            let content_type = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert(header::CONTENT_TYPE, content_type);
            let form = format!(
                "grant_type=refresh_token&client_id=skiff&refresh_token={}&{form}",
                encode(token)
            );
            (Method::POST, realm.clone(), Bytes::from(form))
        }
        other => {
            if let Some(Credentials::Basic { username, password }) = other {
                headers.insert(header::AUTHORIZATION, basic(username, password));
            }
            let joint = if realm.query().is_some() { '&' } else { '?' };
            let uri = format!("{realm}{joint}{form}")
                .parse()
                .map_err(|_| bad_realm(&realm.to_string()))?;
            (Method::GET, uri, Bytes::new())
        }
    };
    let response = transport.send(method.clone(), &uri, &headers, body).await?;
    let status = response.status();
    if !status.is_success() {
        return Err(Error::Status {
            method,
            url: uri.to_string(),
            status,
        });
    }
    let bytes = transport::read(&uri, response, transport::ANSWER).await?;
    let no_token = || bad_realm_answer(&uri);
    let answer: Answer = serde_json::from_slice(&bytes).map_err(|_| no_token())?;
    answer
        .token
        .or(answer.access_token)
        .filter(|token| !token.is_empty())
        .ok_or_else(no_token)
}

/// A token server is spoken to by plain HTTP only where its registry is: it is shown passwords.
fn realm_uri(realm: &str, registry_is_plain: bool) -> Result<Uri, Error> {
    let uri: Uri = realm.parse().map_err(|_| bad_realm(realm))?;
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if registry_is_plain => Ok(uri),
        _ => Err(bad_realm(realm)),
    }
}

fn bad_realm(realm: &str) -> Error {
    let problem = "the token server's address is no https URL".to_owned();
    Error::Answer {
        host: realm.chars().take(200).collect(),
        problem,
    }
}

fn bad_realm_answer(uri: &Uri) -> Error {
    Error::Answer {
        host: uri.host().unwrap_or_default().to_owned(),
        problem: "no token in the answer".to_owned(),
    }
}

fn basic(username: &str, password: &str) -> HeaderValue {
    let text = format!(
        "Basic {}",
        STANDARD.encode(format!("{username}:{password}"))
    );
    let mut value = HeaderValue::try_from(text).expect("base64 is a header value");
    value.set_sensitive(true);
    value
}

fn bearer(token: &str) -> Result<HeaderValue, Error> {
    let bad = |_| Error::Denied {
        message: "the token has characters no header may have".to_owned(),
    };
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(bad)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Percent-encoding for a query's value.
fn encode(text: &str) -> String {
    const SPECIAL: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~')
        .remove(b':')
        .remove(b'/');
    utf8_percent_encode(text, SPECIAL).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_challenge_is_read_with_commas_in_quotes() {
        let mut headers = HeaderMap::new();
        headers.append(
            "www-authenticate",
            HeaderValue::from_static("Basic realm=\"x\""),
        );
        let value = "Bearer realm=\"https://auth.example/token\",service=\"reg\",scope=\"repository:a/b:pull,push\"";
        headers.append("www-authenticate", HeaderValue::from_static(value));
        let expected = Challenge::Bearer {
            realm: "https://auth.example/token".to_owned(),
            service: Some("reg".to_owned()),
            scope: Some("repository:a/b:pull,push".to_owned()),
        };
        assert_eq!(challenge(&headers), Some(expected));
    }

    #[test]
    fn challenges_that_make_no_sense_are_none() {
        for value in [
            "Negotiate",
            "Bearer",
            "Bearer service=x",
            "Bearer realm",
            "",
        ] {
            assert_eq!(parse(value), None, "{value}");
        }
    }

    #[test]
    fn passwords_go_to_plain_token_servers_only_of_plain_registries() {
        assert!(realm_uri("http://auth.example/token", false).is_err());
        assert!(realm_uri("http://auth.example/token", true).is_ok());
        assert!(realm_uri("file:///etc/passwd", true).is_err());
    }

    #[test]
    fn queries_are_encoded() {
        assert_eq!(
            encode("repository:a/b:pull,push &"),
            "repository:a/b:pull%2Cpush%20%26"
        );
    }
}

//! Handing a request on to an extension API server.

use apimachinery::Status;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Aggregation, Remote};
use crate::api::{Api, Call};
use crate::body::{Body, RequestBody};
use crate::proxy::relay;
use crate::respond;
use crate::user::User;
use crate::webhook;

const EXTRA: &str = "x-remote-extra-";

/// Answers what the other server answers; streams and upgrades go through.
pub async fn forward(
    api: &Api,
    call: &Call,
    remote: &Remote,
    mut request: Request<RequestBody>,
) -> Result<Response<Body>, Status> {
    if !remote.is_available {
        return Ok(unavailable("service unavailable"));
    }
    let roots = match &remote.roots {
        Ok(roots) => roots,
        Err(why) => return Ok(unavailable(why)),
    };
    let client = hyper::upgrade::on(&mut request);
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = webhook::service_uri(&remote.service, path).map_err(Status::internal)?;
    parts.version = http::Version::HTTP_11;
    parts.extensions.clear();
    relay::strip_request(&mut parts.headers);
    name_user(&mut parts.headers, &call.user);
    parts.headers.remove(header::HOST);
    let onward = Request::from_parts(parts, body);
    let identity = api.aggregation.client();
    let answered = api.webhooks.forward(onward, roots, identity.as_ref()).await;
    let response = match answered {
        Ok(response) => response,
        Err(error) => return Ok(unavailable(&error.to_string())),
    };
    Ok(relay::answer(client, response, ()))
}

impl Aggregation {
    /// What the server shows to extension servers.
    pub(super) fn client(&self) -> Option<crate::KeyPair> {
        self.identity.as_ref().map(|held| held.issued().into())
    }
}

/// In plain text, as Kubernetes' aggregator has it.
fn unavailable(why: &str) -> Response<Body> {
    respond::text(StatusCode::SERVICE_UNAVAILABLE, &format!("{why}\n"))
}

/// Says whose request it is, in place of what the client itself brought: its
/// credentials are for this server only, and such headers are not its to set.
pub fn name_user(headers: &mut HeaderMap, user: &User) {
    let own: Vec<HeaderName> = headers
        .keys()
        .filter(|name| {
            **name == header::AUTHORIZATION
                || name.as_str().starts_with("impersonate-")
                || name.as_str().starts_with("x-remote-")
        })
        .cloned()
        .collect();
    for name in own {
        headers.remove(name);
    }
    let mut add = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            headers.append(name, value);
        }
    };
    add(HeaderName::from_static("x-remote-user"), &user.name);
    if !user.uid.is_empty() {
        add(HeaderName::from_static("x-remote-uid"), &user.uid);
    }
    for group in &user.groups {
        add(HeaderName::from_static("x-remote-group"), group);
    }
    for (key, values) in &user.extra {
        let key = utf8_percent_encode(key, NOT_IN_NAME);
        let Ok(name) = HeaderName::try_from(format!("{EXTRA}{key}")) else {
            continue;
        };
        for value in values {
            add(name.clone(), value);
        }
    }
}

/// Keys may hold what header names may not.
const NOT_IN_NAME: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'*')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_cannot_name_the_user_itself() {
        let mut headers = HeaderMap::new();
        headers.insert("x-remote-user", HeaderValue::from_static("admin"));
        headers.insert("x-remote-extra-a", HeaderValue::from_static("b"));
        headers.insert("authorization", HeaderValue::from_static("Bearer x"));
        headers.insert("accept", HeaderValue::from_static("a/b"));
        let mut user = User::new("jane", ["dev".to_owned(), "ops".to_owned()]);
        user.extra.insert("scopes/x".into(), vec!["1".into()]);
        name_user(&mut headers, &user);
        assert_eq!(headers["x-remote-user"], "jane");
        let groups: Vec<_> = headers.get_all("x-remote-group").iter().collect();
        assert_eq!(groups, ["dev", "ops"]);
        assert_eq!(headers["x-remote-extra-scopes%2fx"], "1");
        assert!(!headers.contains_key("x-remote-extra-a"));
        assert!(!headers.contains_key("authorization"));
        assert_eq!(headers["accept"], "a/b");
    }
}

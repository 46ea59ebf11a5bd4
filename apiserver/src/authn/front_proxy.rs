//! A proxy that has authenticated its client says who that is in headers
//! (`--requestheader-*`), and is believed for its own certificate.

use apimachinery::Status;
use http::{HeaderMap, HeaderName};

use crate::peer::Peer;
use crate::route::decode;
use crate::user::{AUTHENTICATED, User};

/// Who is believed, and which headers say what.
#[derive(Debug, Clone)]
pub struct FrontProxy {
    /// Signs the proxies' certificates.
    pub ca_pem: String,
    /// Common names that are taken; none: any that the authority signed.
    pub allowed_names: Vec<String>,
    pub username_headers: Vec<String>,
    pub uid_headers: Vec<String>,
    pub group_headers: Vec<String>,
    pub extra_prefixes: Vec<String>,
}

impl FrontProxy {
    /// Kubernetes' usual headers.
    pub fn new(ca_pem: String) -> Self {
        let one = |name: &str| vec![name.to_owned()];
        Self {
            ca_pem,
            allowed_names: Vec::new(),
            username_headers: one("X-Remote-User"),
            uid_headers: one("X-Remote-Uid"),
            group_headers: one("X-Remote-Group"),
            extra_prefixes: one("X-Remote-Extra-"),
        }
    }

    /// The user that a proxy names; None when no proxy asks or it names nobody.
    ///
    /// # Errors
    /// 401 when a proxy of another name speaks for somebody.
    pub fn user(&self, headers: &HeaderMap, peer: &Peer) -> Result<Option<User>, Status> {
        let Some(proxy) = &peer.front_proxy else {
            return Ok(None);
        };
        let Some(name) = first(headers, &self.username_headers) else {
            return Ok(None);
        };
        if !self.allowed_names.is_empty() && !self.allowed_names.contains(proxy) {
            return Err(Status::unauthorized());
        }
        let mut user = User::new(name, all(headers, &self.group_headers));
        user.uid = first(headers, &self.uid_headers).unwrap_or_default();
        for prefix in &self.extra_prefixes {
            add_extra(&mut user, headers, &prefix.to_lowercase());
        }
        if !user.is_in(AUTHENTICATED) {
            user.groups.push(AUTHENTICATED.to_owned());
        }
        Ok(Some(user))
    }

    /// Whether a header is the proxy's own, to be taken from the request.
    pub fn is_own(&self, header: &HeaderName) -> bool {
        let is = |name: &String| name.eq_ignore_ascii_case(header.as_str());
        let named = [
            &self.username_headers,
            &self.uid_headers,
            &self.group_headers,
        ];
        let starts = |prefix: &String| header.as_str().starts_with(&prefix.to_lowercase());
        named.into_iter().flatten().any(is) || self.extra_prefixes.iter().any(starts)
    }
}

fn first(headers: &HeaderMap, names: &[String]) -> Option<String> {
    all(headers, names).next()
}

fn all<'a>(headers: &'a HeaderMap, names: &'a [String]) -> impl Iterator<Item = String> + 'a {
    let values = names.iter().flat_map(|name| headers.get_all(name));
    let texts = values.filter_map(|value| value.to_str().ok());
    texts.filter(|text| !text.is_empty()).map(str::to_owned)
}

fn add_extra(user: &mut User, headers: &HeaderMap, prefix: &str) {
    for (name, value) in headers {
        let Some(key) = name.as_str().strip_prefix(prefix) else {
            continue;
        };
        let values = user.extra.entry(decode(key)).or_default();
        values.extend(value.to_str().ok().map(str::to_owned));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    fn of(proxy: Option<&str>) -> Peer {
        Peer {
            front_proxy: proxy.map(str::to_owned),
            ..Peer::default()
        }
    }

    #[test]
    fn a_proxys_headers_say_who_it_is() {
        let proxy = FrontProxy::new(String::new());
        let headers = headers(&[
            ("x-remote-user", "ann"),
            ("x-remote-group", "dev"),
            ("x-remote-group", "ops"),
            ("x-remote-extra-a%2fb", "1"),
        ]);
        let user = proxy.user(&headers, &of(Some("p"))).unwrap().unwrap();
        assert_eq!(user.name, "ann");
        assert_eq!(user.groups, ["dev", "ops", "system:authenticated"]);
        assert_eq!(user.extra["a/b"], ["1"]);
    }

    #[test]
    fn headers_of_anybody_else_say_nothing() {
        let mut proxy = FrontProxy::new(String::new());
        let headers = headers(&[("x-remote-user", "ann")]);
        assert_eq!(proxy.user(&headers, &of(None)).unwrap(), None);
        proxy.allowed_names = vec!["front".into()];
        assert!(proxy.user(&headers, &of(Some("other"))).is_err());
        assert!(proxy.user(&headers, &of(Some("front"))).unwrap().is_some());
    }
}

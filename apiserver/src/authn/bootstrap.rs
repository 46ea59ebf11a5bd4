//! Bootstrap tokens, `<id>.<secret>`: what a machine shows before it has a
//! certificate. Each is a Secret `bootstrap-token-<id>` in kube-system.

use apimachinery::time;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use store::Store;

use super::same;
use crate::keys;
use crate::user::{AUTHENTICATED, User};

const SECRET_TYPE: &str = "bootstrap.kubernetes.io/token";
const GROUP: &str = "system:bootstrappers";
const ID_LENGTH: usize = 6;
const SECRET_LENGTH: usize = 16;

/// A token that has the form of one.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    id: &'a str,
    secret: &'a str,
}

pub fn parse(token: &str) -> Option<Parts<'_>> {
    let (id, secret) = token.split_once('.')?;
    let is_plain = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    let fits = id.len() == ID_LENGTH && secret.len() == SECRET_LENGTH;
    (fits && is_plain(id) && is_plain(secret)).then_some(Parts { id, secret })
}

pub async fn authenticate(store: &dyn Store, parts: Parts<'_>) -> Option<User> {
    let name = format!("bootstrap-token-{}", parts.id);
    let key = keys::object("secrets", Some("kube-system"), &name);
    let entry = store.get(&key).await.ok()??;
    let secret: Value = serde_json::from_slice(&entry.value).ok()?;
    if secret["type"] != SECRET_TYPE || !secret["metadata"]["deletionTimestamp"].is_null() {
        return None;
    }
    let field = |name: &str| {
        let text = secret["data"][name].as_str().unwrap_or("");
        String::from_utf8(STANDARD.decode(text).unwrap_or_default()).unwrap_or_default()
    };
    let good = field("token-id") == parts.id
        && same(field("token-secret").as_bytes(), parts.secret.as_bytes())
        && field("usage-bootstrap-authentication") == "true"
        && is_live(&field("expiration"));
    if !good {
        return None;
    }
    user_of(parts.id, &field("auth-extra-groups"))
}

/// None when a group is asked for that a bootstrap token cannot give.
fn user_of(id: &str, extra_groups: &str) -> Option<User> {
    let mut groups = vec![GROUP.to_owned()];
    let extra = extra_groups.split(',').map(str::trim);
    for group in extra.filter(|group| !group.is_empty()) {
        if !is_bootstrap_group(group) {
            tracing::warn!(
                id,
                group,
                "a bootstrap token asks for a group that it cannot give"
            );
            return None;
        }
        groups.push(group.to_owned());
    }
    groups.push(AUTHENTICATED.to_owned());
    Some(User::new(format!("system:bootstrap:{id}"), groups))
}

/// `system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]`
fn is_bootstrap_group(group: &str) -> bool {
    let Some(rest) = group.strip_prefix("system:bootstrappers:") else {
        return false;
    };
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let fits = |b: u8| is_word(b) || matches!(b, b':' | b'-');
    rest.len() <= 256 && rest.bytes().all(fits) && rest.bytes().last().is_some_and(is_word)
}

/// No expiration is for ever; one that cannot be read is over.
fn is_live(expiration: &str) -> bool {
    expiration.is_empty() || time::parse(expiration).is_some_and(|end| end > jiff::Timestamp::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_others_are_not_given() {
        assert!(user_of("abcdef", "").is_some());
        let user = user_of("abcdef", "system:bootstrappers:workers").unwrap();
        assert!(user.is_in("system:bootstrappers:workers"));
        assert!(user_of("abcdef", "system:bootstrappers:a,system:masters").is_none());
        assert!(user_of("abcdef", "system:bootstrappers:").is_none());
    }

    #[test]
    fn only_six_dot_sixteen_is_a_bootstrap_token() {
        assert!(parse("abcdef.0123456789abcdef").is_some());
        assert!(parse("abcdef.0123456789abcde").is_none());
        assert!(parse("ABCDEF.0123456789abcdef").is_none());
        assert!(parse("eyJh.eyJp.sig").is_none());
    }
}

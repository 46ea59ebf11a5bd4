//! The tokens, a line each.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;

use crate::print::Tabs;

/// What `kubeadm token list` shows, but not the secrets.
pub fn table(secrets: &[Secret], now: Timestamp) -> String {
    let mut lines = vec!["ID\tTTL\tEXPIRES\tUSAGES\tDESCRIPTION".to_owned()];
    for secret in secrets {
        let expires = field(secret, "expiration");
        let usages: Vec<&str> = ["authentication", "signing"]
            .into_iter()
            .filter(|usage| field(secret, &format!("usage-bootstrap-{usage}")) == "true")
            .collect();
        let dash = |text: String| {
            if text.is_empty() {
                "<none>".into()
            } else {
                text
            }
        };
        let cells = [
            field(secret, "token-id"),
            left(&expires, now),
            dash(expires),
            dash(usages.join(",")),
            dash(field(secret, "description")),
        ];
        lines.push(cells.join("\t"));
    }
    Tabs::TABLE.align(&lines.join("\n"))
}

fn field(secret: &Secret, name: &str) -> String {
    let bytes = secret.data.as_ref().and_then(|data| data.get(name));
    bytes.map_or_else(String::new, |b| String::from_utf8_lossy(&b.0).into_owned())
}

fn left(expires: &str, now: Timestamp) -> String {
    if expires.is_empty() {
        return "<forever>".into();
    }
    let Ok(ends) = expires.parse::<Timestamp>() else {
        return "<invalid>".into();
    };
    let left = ends.duration_since(now);
    match (left.as_hours(), left.as_mins()) {
        _ if left <= SignedDuration::ZERO => "<expired>".into(),
        (0, 0) => format!("{}s", left.as_secs()),
        (0, minutes) => format!("{minutes}m"),
        (hours, _) => format!("{hours}h"),
    }
}

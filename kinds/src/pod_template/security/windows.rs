//! Windows' part of a security context: kept right for nodes that run Windows.

use apimachinery::names;

use crate::errors::Errors;
use crate::node::Node;

const CREDENTIAL_KIB: usize = 64;
const DOMAIN_MAX: usize = 256;
const USER_MAX: usize = 104;

pub fn options(options: &Node, errors: &mut Errors) {
    if !options.exists() {
        return;
    }
    let name = options.at("gmsaCredentialSpecName");
    if name.exists() {
        errors.follows(&name, names::dns_subdomain);
    }
    let credential = options.at("gmsaCredentialSpec");
    if credential.exists() && credential.is_empty() {
        let why = "gmsaCredentialSpec cannot be an empty string";
        errors.invalid(&credential, why);
    } else if credential.len() > CREDENTIAL_KIB * 1024 {
        let why = format!("gmsaCredentialSpec size must be under {CREDENTIAL_KIB} KiB");
        errors.invalid(&credential, why);
    }
    let user = options.at("runAsUserName");
    if user.exists() {
        for why in user_name(user.text()) {
            errors.invalid(&user, why);
        }
    }
}

/// `DOMAIN\user`, or `user`.
fn user_name(text: &str) -> Vec<String> {
    let one = |why: &str| vec![why.to_owned()];
    if text.is_empty() {
        return one("runAsUserName cannot be an empty string");
    }
    if text.chars().any(|c| c.is_ascii_control()) {
        return one("runAsUserName cannot contain control characters");
    }
    let parts: Vec<&str> = text.split('\\').collect();
    match parts[..] {
        [user] => user_part(user),
        [domain, user] => [domain_part(domain), user_part(user)].concat(),
        _ => one("runAsUserName cannot contain more than one backslash"),
    }
}

fn domain_part(domain: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if domain.len() >= DOMAIN_MAX {
        problems.push(format!(
            "runAsUserName's Domain length must be under {DOMAIN_MAX} characters"
        ));
    }
    let net_bios = (1..=15).contains(&domain.chars().count())
        && !domain.starts_with('.')
        && !domain.contains(['\\', '/', ':', '*', '?', '"', '<', '>', '|']);
    let dns = domain
        .split('.')
        .all(|label| names::dns_label(&label.to_lowercase()).is_empty());
    if !net_bios && !dns {
        problems
            .push("runAsUserName's Domain doesn't match the NetBios nor the DNS format".to_owned());
    }
    problems
}

fn user_part(user: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if user.is_empty() {
        problems.push("runAsUserName's User cannot be empty".to_owned());
    } else if user.len() > USER_MAX {
        problems.push(format!(
            "runAsUserName's User length must not be longer than {USER_MAX} characters"
        ));
    }
    if !user.is_empty() && user.chars().all(|c| matches!(c, '.' | ' ')) {
        problems.push("runAsUserName's User cannot contain only periods or spaces".to_owned());
    }
    let forbidden = [
        '"', '/', '\\', ':', ';', '|', '=', ',', '+', '*', '?', '<', '>', '@', '[', ']',
    ];
    if user.contains(forbidden) {
        problems.push(
            "runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]"
                .to_owned(),
        );
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_windows_user_may_have_a_domain_and_one_backslash() {
        for good in [
            "Administrator",
            "NT AUTHORITY\\SYSTEM",
            "corp.example.com\\bob",
        ] {
            assert_eq!(user_name(good), Vec::<String>::new(), "{good}");
        }
        for bad in ["", "a\\b\\c", "..", "a@b", ".x\\bob"] {
            assert!(!user_name(bad).is_empty(), "{bad}");
        }
    }
}

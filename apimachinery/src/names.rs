//! Names: what they may look like, and the sentence that says so.
//!
//! Every validator returns the messages Kubernetes gives; none means the name is good.

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const DNS_1035: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const QUALIFIED: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_VALUE: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";

pub const LABEL_MAX: usize = 63;
pub const SUBDOMAIN_MAX: usize = 253;

/// A rule a name must follow: the messages say which it broke.
pub type Rule = fn(&str) -> Vec<String>;

fn too_long(max: usize) -> String {
    format!("must be no more than {max} bytes")
}

fn explain(message: &str, pattern: &str, examples: &[&str]) -> String {
    let examples: Vec<String> = examples.iter().map(|e| format!("'{e}'")).collect();
    let examples = examples.join(",  or ");
    let shown = if examples.is_empty() {
        String::new()
    } else {
        format!("e.g. {examples}, ")
    };
    format!("{message} ({shown}regex used for validation is '{pattern}')")
}

fn is_lower_alnum(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

/// Ends are `edge`, the middle `edge` or `inner`; not empty.
fn is_shaped(bytes: &[u8], edge: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    edge(first) && edge(last) && bytes.iter().all(|&b| edge(b) || inner(b))
}

fn is_dash(b: u8) -> bool {
    b == b'-'
}

fn is_label_shaped(name: &str) -> bool {
    is_shaped(name.as_bytes(), is_lower_alnum, is_dash)
}

pub fn is_dns_label(name: &str) -> bool {
    name.len() <= LABEL_MAX && is_label_shaped(name)
}

/// RFC 1123 label: `my-name`.
pub fn dns_label(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > LABEL_MAX {
        errors.push(too_long(LABEL_MAX));
    }
    if !is_label_shaped(name) {
        let message = if is_subdomain_shaped(name) {
            "must not contain dots"
        } else {
            return push(
                errors,
                explain(
                    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
                    LABEL,
                    &["my-name", "123-abc"],
                ),
            );
        };
        errors.push(message.to_owned());
    }
    errors
}

fn push(mut errors: Vec<String>, error: String) -> Vec<String> {
    errors.push(error);
    errors
}

fn is_subdomain_shaped(name: &str) -> bool {
    let mut parts = name.as_bytes().split(|&b| b == b'.');
    parts.all(|part| is_shaped(part, is_lower_alnum, is_dash))
}

/// RFC 1123 subdomain: `example.com`.
pub fn dns_subdomain(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > SUBDOMAIN_MAX {
        errors.push(too_long(SUBDOMAIN_MAX));
    }
    if !is_subdomain_shaped(name) {
        errors.push(explain(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
            SUBDOMAIN,
            &["example.com"],
        ));
    }
    errors
}

/// A subdomain that may have underscores: what a resolver searches.
pub fn subdomain_with_underscores(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > SUBDOMAIN_MAX {
        errors.push(too_long(SUBDOMAIN_MAX));
    }
    let part = |part: &[u8]| is_shaped(part, |b| is_lower_alnum(b) || b == b'_', is_dash);
    if !name.as_bytes().split(|&b| b == b'.').all(part) {
        errors.push(explain(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
            "[a-z0-9_]([-_a-z0-9]*[a-z0-9_])?(\\.[a-z0-9_]([-_a-z0-9]*[a-z0-9_])?)*",
            &["example.com"],
        ));
    }
    errors
}

/// RFC 1035 label: like a DNS label, but starts with a letter. Service names.
pub fn dns_1035_label(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > LABEL_MAX {
        errors.push(too_long(LABEL_MAX));
    }
    let starts_well = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    if !(starts_well && is_label_shaped(name)) {
        errors.push(explain(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
            DNS_1035,
            &["my-name", "abc-123"],
        ));
    }
    errors
}

/// A subdomain that may start with `*.`.
pub fn wildcard_subdomain(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > SUBDOMAIN_MAX {
        errors.push(too_long(SUBDOMAIN_MAX));
    }
    if !name.strip_prefix("*.").is_some_and(is_subdomain_shaped) {
        errors.push(explain(
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
            &format!("\\*\\.{SUBDOMAIN}"),
            &["*.example.com"],
        ));
    }
    errors
}

fn qualified_shape(name: &str) -> bool {
    let inner = |b| matches!(b, b'-' | b'_' | b'.');
    is_shaped(name.as_bytes(), |b| b.is_ascii_alphanumeric(), inner)
}

/// A label key, annotation key, resource or taint name: `[prefix/]Name`.
pub fn qualified(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    let local = match name.split_once('/') {
        None => name,
        Some((prefix, local)) if !local.contains('/') => {
            errors.extend(wrong_prefix(prefix));
            local
        }
        Some(_) => {
            return vec![format!(
                "a qualified name {} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
                explain(
                    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
                    QUALIFIED,
                    &["MyName", "my.name", "123-abc"],
                )
            )];
        }
    };
    if local.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    } else if local.len() > LABEL_MAX {
        errors.push(format!("name part {}", too_long(LABEL_MAX)));
    }
    if !qualified_shape(local) {
        errors.push(format!(
            "name part {}",
            explain(
                "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
                QUALIFIED,
                &["MyName", "my.name", "123-abc"],
            )
        ));
    }
    errors
}

fn wrong_prefix(prefix: &str) -> Vec<String> {
    if prefix.is_empty() {
        return vec!["prefix part must be non-empty".to_owned()];
    }
    let wrong = dns_subdomain(prefix).into_iter();
    wrong.map(|e| format!("prefix part {e}")).collect()
}

pub fn label_value(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > LABEL_MAX {
        errors.push(too_long(LABEL_MAX));
    }
    if !value.is_empty() && !qualified_shape(value) {
        errors.push(explain(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
            LABEL_VALUE,
            &["MyValue", "my_value", "12345"],
        ));
    }
    errors
}

/// A key of a ConfigMap or Secret.
pub fn config_map_key(key: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if key.len() > SUBDOMAIN_MAX {
        errors.push(too_long(SUBDOMAIN_MAX));
    }
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    if key.is_empty() || !key.bytes().all(good) {
        errors.push(explain(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            "[-._a-zA-Z0-9]+",
            &["key.name", "KEY_NAME", "key-name"],
        ));
    } else if key == "." || key == ".." {
        errors.push(format!("must not be '{key}'"));
    } else if key.starts_with("..") {
        errors.push("must not start with '..'".to_owned());
    }
    errors
}

/// An environment variable's name: any printable ASCII but `=`.
pub fn env_var(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.is_empty() {
        errors.push("environment variable name must not be empty".to_owned());
    }
    if !name
        .bytes()
        .all(|b| (b' '..=b'~').contains(&b) && b != b'=')
    {
        errors.push(explain(
            "a valid environment variable name must consist only of printable ASCII characters other than '='",
            "[ -<>-~]+",
            &[],
        ));
    }
    errors
}

/// A C identifier.
pub fn c_identifier(name: &str) -> Vec<String> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let good = name.bytes().next().is_some_and(|b| !b.is_ascii_digit()) && name.bytes().all(word);
    if good {
        return Vec::new();
    }
    vec![explain(
        "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'",
        "[A-Za-z_][A-Za-z0-9_]*",
        &["my_name", "MY_NAME", "MyName"],
    )]
}

/// A named container port: up to 15 characters, at least one letter.
pub fn port_name(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > 15 {
        errors.push("must be no more than 15 characters".to_owned());
    }
    if name.is_empty() || !name.bytes().all(|b| is_lower_alnum(b) || b == b'-') {
        errors.push(
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned(),
        );
    }
    if !name.bytes().any(|b| b.is_ascii_lowercase()) {
        errors.push("must contain at least one letter (a-z)".to_owned());
    }
    if name.contains("--") {
        errors.push("must not contain consecutive hyphens".to_owned());
    }
    if name.starts_with('-') || name.ends_with('-') {
        errors.push("must not begin or end with a hyphen".to_owned());
    }
    errors
}

pub fn port_number(port: i64) -> Vec<String> {
    if (1..=65535).contains(&port) {
        return Vec::new();
    }
    vec!["must be between 1 and 65535, inclusive".to_owned()]
}

/// A name that becomes one segment of a URL path: RBAC names.
pub fn path_segment(name: &str) -> Vec<String> {
    if name == "." || name == ".." {
        return vec![format!("may not be '{name}'")];
    }
    ['/', '%']
        .into_iter()
        .filter(|&c| name.contains(c))
        .map(|c| format!("may not contain '{c}'"))
        .collect()
}

/// What `generateName` may be: the rule on it as if a suffix followed.
pub fn prefix_of(rule: Rule, prefix: &str) -> Vec<String> {
    match prefix.strip_suffix('-') {
        Some(stem) if !stem.is_empty() => rule(&format!("{stem}a")),
        _ => rule(prefix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_label_is_explained_with_its_regex() {
        assert_eq!(
            dns_label("Bad_Name"),
            [
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            ]
        );
        assert_eq!(dns_label("a.b"), ["must not contain dots"]);
        assert!(dns_label("web-1").is_empty());
    }

    #[test]
    fn length_limits_are_63_for_labels_and_253_for_subdomains() {
        assert!(dns_label(&"a".repeat(63)).is_empty());
        assert_eq!(
            dns_label(&"a".repeat(64)),
            ["must be no more than 63 bytes"]
        );
        assert!(dns_subdomain(&"a".repeat(253)).is_empty());
        assert_eq!(
            dns_subdomain(&"a".repeat(254)),
            ["must be no more than 253 bytes"]
        );
    }

    #[test]
    fn qualified_names_have_at_most_one_prefix() {
        assert!(qualified("example.com/My_Name").is_empty());
        assert!(qualified("app").is_empty());
        assert_eq!(qualified("a/b/c").len(), 1);
        assert_eq!(qualified("/x"), ["prefix part must be non-empty"]);
        assert!(qualified("Ex/x")[0].starts_with("prefix part a lowercase RFC 1123 subdomain"));
    }

    #[test]
    fn a_port_name_needs_a_letter_and_no_double_hyphen() {
        assert!(port_name("http-1").is_empty());
        assert_eq!(port_name("80"), ["must contain at least one letter (a-z)"]);
        assert_eq!(port_name("a--b"), ["must not contain consecutive hyphens"]);
    }

    #[test]
    fn a_generate_name_may_end_in_a_dash() {
        assert!(prefix_of(dns_subdomain, "web-").is_empty());
        assert!(!prefix_of(dns_subdomain, "Web-").is_empty());
    }
}

//! Kubernetes' `EncryptionConfiguration` file.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::Error;
use crate::cipher::Cipher;
use crate::seal::{Key, Provider, Providers};

/// What is encrypted, and with what. The first rule that covers a resource holds.
pub struct Config {
    pub(crate) rules: Vec<Rule>,
}

pub(crate) struct Rule {
    pub selectors: Vec<Selector>,
    pub providers: Arc<Providers>,
}

/// `secrets`, `deployments.apps`, `*.apps`, `*.` (the core group) or `*.*`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Selector {
    /// None: all of the group.
    plural: Option<String>,
    /// None: all groups.
    group: Option<String>,
}

impl Selector {
    pub fn covers(&self, group: &str, plural: &str) -> bool {
        self.plural.as_deref().is_none_or(|mine| mine == plural)
            && self.group.as_deref().is_none_or(|mine| mine == group)
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let (plural, group) = text.split_once('.').unwrap_or((text, ""));
        if text.is_empty() {
            return Err("a resource has a name");
        }
        if plural == "*" && !text.contains('.') {
            return Err("use *.* for all resources, *. for those of the core group");
        }
        if plural.contains('*') && plural != "*" || group.contains('*') && text != "*.*" {
            return Err("a wildcard is *.<group>, *. or *.*");
        }
        if plural != plural.to_lowercase() || plural.contains('/') {
            return Err("a resource is a plural in lower case, without a subresource");
        }
        Ok(Self {
            plural: (plural != "*").then(|| plural.to_owned()),
            group: (group != "*").then(|| group.to_owned()),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct File {
    api_version: String,
    kind: String,
    resources: Vec<FileRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRule {
    resources: Vec<String>,
    providers: Vec<FileProvider>,
}

/// Exactly one of these.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileProvider {
    identity: Option<Nothing>,
    aescbc: Option<Keys>,
    aesgcm: Option<Keys>,
    secretbox: Option<Keys>,
    kms: Option<serde_yaml::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    keys: Vec<NamedKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedKey {
    name: String,
    secret: String,
}

impl Config {
    /// # Errors
    /// A file that cannot be read, or says what cannot be done; the message
    /// names the field and never a secret.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read {
            path: path.into(),
            source,
        })?;
        Self::parse(&text)
    }

    pub fn parse(text: &str) -> Result<Self, Error> {
        let file: File = serde_yaml::from_str(text).map_err(|source| Error::Parse { source })?;
        if file.kind != "EncryptionConfiguration" {
            return Err(invalid("kind", "must be EncryptionConfiguration"));
        }
        if !matches!(
            file.api_version.as_str(),
            "apiserver.config.k8s.io/v1" | "v1"
        ) {
            return Err(invalid("apiVersion", "must be apiserver.config.k8s.io/v1"));
        }
        if file.resources.is_empty() {
            return Err(invalid("resources", "at least one rule is needed"));
        }
        let rules = file.resources.iter().enumerate();
        let rules = rules.map(|(at, rule)| read_rule(&format!("resources[{at}]"), rule));
        Ok(Self {
            rules: rules.collect::<Result<_, _>>()?,
        })
    }
}

fn invalid(field: impl Into<String>, why: impl Into<String>) -> Error {
    Error::Invalid {
        field: field.into(),
        why: why.into(),
    }
}

fn read_rule(at: &str, rule: &FileRule) -> Result<Rule, Error> {
    if rule.resources.is_empty() {
        return Err(invalid(
            format!("{at}.resources"),
            "at least one resource is needed",
        ));
    }
    let mut selectors: Vec<Selector> = Vec::new();
    for (index, text) in rule.resources.iter().enumerate() {
        let field = format!("{at}.resources[{index}]");
        let selector = Selector::parse(text).map_err(|why| invalid(&field, why))?;
        if selectors.iter().any(|other| overlap(other, &selector)) {
            let why = format!("{text:?} is covered by another of this list");
            return Err(invalid(field, why));
        }
        selectors.push(selector);
    }
    if rule.providers.is_empty() {
        return Err(invalid(
            format!("{at}.providers"),
            "at least one provider is needed",
        ));
    }
    let mut providers = Vec::new();
    for (index, provider) in rule.providers.iter().enumerate() {
        read_provider(
            &format!("{at}.providers[{index}]"),
            provider,
            &mut providers,
        )?;
    }
    Ok(Rule {
        selectors,
        providers: Arc::new(Providers::new(providers)),
    })
}

fn overlap(a: &Selector, b: &Selector) -> bool {
    let meet = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
    meet(&a.plural, &b.plural) && meet(&a.group, &b.group)
}

fn read_provider(at: &str, provider: &FileProvider, out: &mut Vec<Provider>) -> Result<(), Error> {
    if provider.kms.is_some() {
        let why = "a KMS plugin is not supported by skiff: use aesgcm, secretbox or aescbc, whose keys stand in this file";
        return Err(invalid(format!("{at}.kms"), why));
    }
    type Make = fn(&[u8]) -> Option<Cipher>;
    let ciphers: [(&str, &Option<Keys>, Make, &str); 3] = [
        ("aesgcm", &provider.aesgcm, Cipher::gcm, "16, 24 or 32"),
        ("aescbc", &provider.aescbc, Cipher::cbc, "16, 24 or 32"),
        ("secretbox", &provider.secretbox, Cipher::secretbox, "32"),
    ];
    let given = ciphers.iter().filter(|(_, keys, ..)| keys.is_some());
    if given.count() + usize::from(provider.identity.is_some()) != 1 {
        return Err(invalid(
            at,
            "must be exactly one of identity, aesgcm, aescbc, secretbox",
        ));
    }
    if provider.identity.is_some() {
        out.push(Provider::Identity);
    }
    for (algorithm, keys, make, sizes) in ciphers {
        let Some(keys) = keys else { continue };
        let field = format!("{at}.{algorithm}.keys");
        read_keys(&field, algorithm, keys, make, sizes, out)?;
    }
    Ok(())
}

fn read_keys(
    field: &str,
    algorithm: &str,
    keys: &Keys,
    make: fn(&[u8]) -> Option<Cipher>,
    sizes: &str,
    out: &mut Vec<Provider>,
) -> Result<(), Error> {
    if keys.keys.is_empty() {
        return Err(invalid(field, "at least one key is needed"));
    }
    let mut names = HashSet::new();
    for (at, key) in keys.keys.iter().enumerate() {
        let field = format!("{field}[{at}]");
        if key.name.is_empty() || key.name.contains(':') {
            let why = "a key has a name, without a colon";
            return Err(invalid(format!("{field}.name"), why));
        }
        if !names.insert(&key.name) {
            let why = format!("{:?} is the name of another key", key.name);
            return Err(invalid(format!("{field}.name"), why));
        }
        let secret = STANDARD.decode(key.secret.trim());
        let secret = secret.map_err(|_| invalid(format!("{field}.secret"), "is not base64"))?;
        let cipher = make(&secret).ok_or_else(|| {
            let why = format!("is {} bytes long, must be {sizes}", secret.len());
            invalid(format!("{field}.secret"), why)
        })?;
        out.push(Provider::Key(Key::new(algorithm, &key.name, cipher)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

    fn parse(resources: &str, provider: &str) -> Result<Config, Error> {
        Config::parse(&format!(
            "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: {resources}\n  providers:\n  - {provider}\n"
        ))
    }

    fn why(resources: &str, provider: &str) -> String {
        parse(resources, provider).err().unwrap().to_string()
    }

    #[test]
    fn all_providers_of_kubernetes_but_kms_are_read() {
        for algorithm in ["aesgcm", "aescbc", "secretbox"] {
            let provider = format!("{algorithm}: {{ keys: [{{ name: a, secret: {SECRET} }}] }}");
            assert!(parse("[secrets]", &provider).is_ok(), "{algorithm}");
        }
        let refused = why("[secrets]", "kms: { name: x }");
        assert!(refused.contains("resources[0].providers[0].kms"));
    }

    #[test]
    fn a_mistake_is_named_by_its_field_and_without_the_secret() {
        let short = "aesgcm: { keys: [{ name: a, secret: c2hvcnQ= }] }";
        assert_eq!(
            why("[secrets]", short),
            "resources[0].providers[0].aesgcm.keys[0].secret: is 5 bytes long, must be 16, 24 or 32"
        );
        let no_base64 = "aesgcm: { keys: [{ name: a, secret: '%%' }] }";
        assert!(why("[secrets]", no_base64).ends_with("is not base64"));
        assert!(why("[]", "identity: {}").contains("at least one resource"));
        assert!(why("['*']", "identity: {}").contains("use *.*"));
        assert!(why("['pods.*']", "identity: {}").contains("wildcard"));
        assert!(why("[secrets, '*.']", "identity: {}").contains("covered"));
    }

    #[test]
    fn a_provider_is_one_thing() {
        let two =
            format!("{{ identity: {{}}, aesgcm: {{ keys: [{{ name: a, secret: {SECRET} }}] }} }}");
        assert!(why("[secrets]", &two).contains("exactly one"));
    }
}

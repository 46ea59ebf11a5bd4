//! Names of images: `busybox` is `docker.io/library/busybox:latest`.

use std::{fmt, str::FromStr};

use crate::Digest;

const DEFAULT_REGISTRY: &str = "docker.io";
const MAX_NAME: usize = 255;

/// A normalised image name: registry, repository, and a tag or a digest or both.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Kubernetes' words for a name that is none (`InvalidImageName`).
#[derive(Debug, thiserror::Error)]
#[error("couldn't parse image reference {input:?}: {problem}")]
pub struct InvalidReference {
    pub input: String,
    pub problem: Problem,
}

/// What is wrong with an image name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("invalid reference format")]
    Format,
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    Uppercase(String),
    #[error("repository name must not be longer than {MAX_NAME} characters")]
    TooLong,
    #[error("cannot specify 64-byte hexadecimal strings")]
    LooksLikeId,
    #[error("unsupported digest algorithm")]
    DigestAlgorithm,
}

impl Reference {
    /// The registry as it is written: `docker.io`, `localhost:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// `library/busybox`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Registry and repository: `docker.io/library/busybox`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The name under which a tagged image is listed; none for a pull by digest.
    pub fn tagged_name(&self) -> Option<String> {
        self.tag
            .as_ref()
            .map(|tag| format!("{}:{tag}", self.name()))
    }

    /// `docker.io/library/busybox@sha256:…` for the given manifest.
    pub fn repo_digest(&self, manifest: &Digest) -> String {
        format!("{}@{manifest}", self.name())
    }

    /// What a registry is asked for: the digest where there is one, else the tag.
    pub(crate) fn wanted(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, tag) => tag.as_deref().expect("a reference has a tag or a digest"),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest
            .as_ref()
            .map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(input: &str) -> Result<Self, InvalidReference> {
        parse(input).map_err(|problem| InvalidReference {
            input: input.chars().take(512).collect(),
            problem,
        })
    }
}

fn parse(input: &str) -> Result<Reference, Problem> {
    if input.len() == 64
        && input
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    {
        return Err(Problem::LooksLikeId);
    }
    let (registry, rest) = split_registry(input);
    let (rest, digest) = split_digest(&rest)?;
    let (repository, tag) = split_tag(rest);
    if repository.bytes().any(|b| b.is_ascii_uppercase())
        && is_repository(&repository.to_ascii_lowercase())
    {
        return Err(Problem::Uppercase(repository.to_owned()));
    }
    if !is_registry(&registry) || !is_repository(repository) || !tag.is_none_or(is_tag) {
        return Err(Problem::Format);
    }
    if registry.len() + 1 + repository.len() > MAX_NAME {
        return Err(Problem::TooLong);
    }
    let tag = tag.or(if digest.is_none() {
        Some("latest")
    } else {
        None
    });
    Ok(Reference {
        registry,
        repository: repository.to_owned(),
        tag: tag.map(str::to_owned),
        digest,
    })
}

/// Docker's rule: what stands before the first slash is a registry only when it looks like a host.
fn split_registry(input: &str) -> (String, String) {
    let is_host = |s: &str| {
        s.contains(['.', ':']) || s == "localhost" || s.bytes().any(|b| b.is_ascii_uppercase())
    };
    let (registry, repository) = match input.split_once('/') {
        Some((first, rest)) if is_host(first) => (first, rest),
        _ => (DEFAULT_REGISTRY, input),
    };
    let registry = if registry == "index.docker.io" {
        DEFAULT_REGISTRY
    } else {
        registry
    };
    let is_official = registry == DEFAULT_REGISTRY && !repository.contains('/');
    let repository = if is_official {
        format!("library/{repository}")
    } else {
        repository.to_owned()
    };
    (registry.to_owned(), repository)
}

fn split_digest(text: &str) -> Result<(&str, Option<Digest>), Problem> {
    let Some((rest, digest)) = text.split_once('@') else {
        return Ok((text, None));
    };
    if digest.starts_with("sha512:") || digest.starts_with("sha384:") {
        return Err(Problem::DigestAlgorithm);
    }
    digest
        .parse()
        .map(|digest| (rest, Some(digest)))
        .map_err(|_| Problem::Format)
}

fn split_tag(text: &str) -> (&str, Option<&str>) {
    text.split_once(':')
        .map_or((text, None), |(name, tag)| (name, Some(tag)))
}

fn is_tag(tag: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|b| is_word(b) || b == b'.' || b == b'-')
}

fn is_registry(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            return address.parse::<std::net::Ipv6Addr>().is_ok()
                && port.strip_prefix(':').map_or(port.is_empty(), is_port);
        }
        None => host
            .split_once(':')
            .map_or((host, None), |(name, port)| (name, Some(port))),
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    name.split('.').all(is_label) && port.is_none_or(is_port)
}

fn is_port(port: &str) -> bool {
    !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit())
}

fn is_repository(repository: &str) -> bool {
    repository.split('/').all(is_component)
}

/// Runs of `[a-z0-9]` joined by one `.`, one or two `_`, or any number of `-`.
fn is_component(component: &str) -> bool {
    let is_alnum = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    component.starts_with(is_alnum)
        && component.ends_with(is_alnum)
        && component.split(is_alnum).all(|separator| {
            matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-')
        })
}

#[cfg(test)]
mod tests;

//! Group, version and kind: the coordinates of a type.

use std::fmt;

/// `apps/v1`, or `v1` in the core group (whose name is empty).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupVersion {
    pub group: String,
    pub version: String,
}

impl GroupVersion {
    pub fn new(group: impl Into<String>, version: impl Into<String>) -> Self {
        GroupVersion {
            group: group.into(),
            version: version.into(),
        }
    }

    /// Reads an `apiVersion`; `None` when it has more than one slash or is empty.
    pub fn parse(api_version: &str) -> Option<Self> {
        match api_version.split_once('/') {
            _ if api_version.is_empty() => None,
            None => Some(Self::new("", api_version)),
            Some((_, version)) if version.contains('/') => None,
            Some((group, version)) => Some(Self::new(group, version)),
        }
    }

    pub fn with_kind(self, kind: impl Into<String>) -> GroupVersionKind {
        GroupVersionKind {
            group: self.group,
            version: self.version,
            kind: kind.into(),
        }
    }
}

impl fmt::Display for GroupVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() {
            f.write_str(&self.version)
        } else {
            write!(f, "{}/{}", self.group, self.version)
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupVersionKind {
    pub group: String,
    pub version: String,
    pub kind: String,
}

impl GroupVersionKind {
    pub fn new(
        group: impl Into<String>,
        version: impl Into<String>,
        kind: impl Into<String>,
    ) -> Self {
        GroupVersion::new(group, version).with_kind(kind)
    }

    pub fn api_version(&self) -> String {
        GroupVersion::new(self.group.as_str(), self.version.as_str()).to_string()
    }
}

impl fmt::Display for GroupVersionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, Kind={}", self.api_version(), self.kind)
    }
}

/// Orders versions as discovery lists them: GA first, then beta, then alpha, newest first.
pub fn compare_versions(a: &str, b: &str) -> std::cmp::Ordering {
    rank(b).cmp(&rank(a)).then_with(|| a.cmp(b))
}

/// (stability, major, minor); what is no `vN[alphaN|betaN]` sorts last.
fn rank(version: &str) -> (u8, u32, u32) {
    parse_rank(version).unwrap_or((0, 0, 0))
}

fn parse_rank(version: &str) -> Option<(u8, u32, u32)> {
    let rest = version.strip_prefix('v')?;
    if let Ok(major) = rest.parse() {
        return Some((3, major, 0));
    }
    let (stability, word) = if rest.contains("beta") {
        (2, "beta")
    } else {
        (1, "alpha")
    };
    let (major, minor) = rest.split_once(word)?;
    Some((stability, major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_versions_parse_and_print() {
        assert_eq!(GroupVersion::parse("v1"), Some(GroupVersion::new("", "v1")));
        assert_eq!(
            GroupVersion::parse("apps/v1").map(|gv| gv.to_string()),
            Some("apps/v1".to_owned())
        );
        assert_eq!(GroupVersion::parse("a/b/c"), None);
        assert_eq!(GroupVersion::parse(""), None);
    }

    #[test]
    fn stable_versions_come_before_beta_before_alpha_newest_first() {
        let mut versions = vec!["v1alpha1", "v2beta1", "v1", "v2", "v2beta2", "odd"];
        versions.sort_by(|a, b| compare_versions(a, b));
        assert_eq!(
            versions,
            ["v2", "v1", "v2beta2", "v2beta1", "v1alpha1", "odd"]
        );
    }
}

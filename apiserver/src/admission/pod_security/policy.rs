//! Which standard a namespace's labels ask for.

use std::fmt;

use apimachinery::field::{Error as FieldError, Path};
use serde_json::{Map, Value};

pub const PREFIX: &str = "pod-security.kubernetes.io/";

/// Later ones forbid more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Privileged,
    Baseline,
    Restricted,
}

/// A level and the version of its rules that is named (`latest`, `v1.34`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standard {
    pub level: Level,
    pub version: String,
}

impl fmt::Display for Standard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        };
        write!(f, "{level}:{}", self.version)
    }
}

impl Default for Standard {
    fn default() -> Self {
        Self {
            level: Level::Privileged,
            version: "latest".into(),
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    pub enforce: Standard,
    pub audit: Standard,
    pub warn: Standard,
}

impl Policy {
    /// Whether any label is about pod security; most namespaces have none.
    pub fn is_in(labels: Option<&Map<String, Value>>) -> bool {
        let mut keys = labels.into_iter().flat_map(Map::keys);
        keys.any(|key| key.starts_with(PREFIX))
    }

    /// A policy always comes out; what labels say wrongly is strict for what is
    /// enforced and lax for the rest.
    pub fn of_labels(
        labels: Option<&Map<String, Value>>,
        defaults: &Self,
    ) -> (Self, Vec<FieldError>) {
        let mut mistakes = Vec::new();
        let mut standard = |mode: &str, default: &Standard, otherwise: Level| {
            let text = |suffix: &str| -> Option<(String, &str)> {
                let key = format!("{PREFIX}{mode}{suffix}");
                let value = labels?.get(&key)?.as_str()?;
                Some((key, value))
            };
            let level = match text("") {
                None => default.level,
                Some((_, "privileged")) => Level::Privileged,
                Some((_, "baseline")) => Level::Baseline,
                Some((_, "restricted")) => Level::Restricted,
                Some((key, other)) => {
                    let why = "must be one of privileged, baseline, restricted";
                    mistakes.push(mistake(&key, other, why));
                    otherwise
                }
            };
            let version = match text("-version") {
                None => default.version.clone(),
                Some((_, version)) if is_version(version) => version.to_owned(),
                Some((key, other)) => {
                    mistakes.push(mistake(&key, other, "must be \"latest\" or \"v1.x\""));
                    "latest".to_owned()
                }
            };
            Standard { level, version }
        };
        let policy = Self {
            enforce: standard("enforce", &defaults.enforce, Level::Restricted),
            audit: standard("audit", &defaults.audit, Level::Privileged),
            warn: standard("warn", &defaults.warn, Level::Privileged),
        };
        (policy, mistakes)
    }

    /// Whether nothing is asked of anybody.
    pub fn is_privileged(&self, with_enforce: bool) -> bool {
        let lax = |standard: &Standard| standard.level == Level::Privileged;
        lax(&self.audit) && lax(&self.warn) && (!with_enforce || lax(&self.enforce))
    }
}

fn is_version(text: &str) -> bool {
    let minor = text.strip_prefix("v1.");
    let is_number = |m: &str| {
        !m.is_empty() && m.bytes().all(|b| b.is_ascii_digit()) && (m == "0" || !m.starts_with('0'))
    };
    text == "latest" || minor.is_some_and(is_number)
}

fn mistake(label: &str, value: &str, why: &str) -> FieldError {
    let labels = Path::new("metadata.labels");
    FieldError::invalid(&labels.key(label), value, why)
}

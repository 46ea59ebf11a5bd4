//! What the administrator says of pod security: the standards of namespaces that
//! say nothing, and who is not looked at.

use apimachinery::meta;
use serde_json::{Map, Value};

use super::policy::{PREFIX, Policy};

#[derive(Debug, Default)]
pub struct Configuration {
    pub defaults: Policy,
    namespaces: Vec<String>,
    users: Vec<String>,
    runtime_classes: Vec<String>,
}

impl Configuration {
    /// Reads a `PodSecurityConfiguration`.
    ///
    /// # Errors
    /// A level or version that does not exist.
    pub fn read(told: &Value) -> Result<Self, String> {
        let defaults = meta::map(told, "defaults").into_iter().flatten();
        let labels: Map<String, Value> = defaults
            .map(|(mode, level)| (format!("{PREFIX}{mode}"), level.clone()))
            .collect();
        let (defaults, mistakes) = Policy::of_labels(Some(&labels), &Policy::default());
        if let Some(mistake) = mistakes.first() {
            return Err(mistake.to_string());
        }
        let texts = |field: &str| -> Vec<String> {
            let items = meta::items(&told["exemptions"], field).iter();
            items
                .filter_map(|item| item.as_str().map(str::to_owned))
                .collect()
        };
        Ok(Self {
            defaults,
            namespaces: texts("namespaces"),
            users: texts("usernames"),
            runtime_classes: texts("runtimeClasses"),
        })
    }

    /// Whether labels of namespaces are all there is to look at.
    pub fn is_plain(&self) -> bool {
        self.defaults.is_privileged(true)
    }

    /// What exempts a pod, if something does.
    pub fn exempt(&self, namespace: &str, user: &str, runtime_class: &str) -> Option<&'static str> {
        let has = |list: &[String], wanted: &str| list.iter().any(|item| item == wanted);
        if has(&self.namespaces, namespace) {
            return Some("namespace");
        }
        if has(&self.users, user) {
            return Some("user");
        }
        has(&self.runtime_classes, runtime_class).then_some("runtimeClass")
    }
}

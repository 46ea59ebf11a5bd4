//! The administrator's `AdmissionConfiguration` (`--admission-control-config-file`):
//! what plugins are told beyond their defaults. Pod security is the only one here
//! that takes any.

use std::path::{Path, PathBuf};

use apimachinery::meta;
use serde_json::Value;

use super::pod_security;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("read {}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{} is no YAML", path.display())]
    Yaml {
        path: PathBuf,
        source: serde_yaml::Error,
    },
    /// The file says what cannot be done; its author mends it.
    #[error("{}: {why}", path.display())]
    Content { path: PathBuf, why: String },
}

/// What the file says of each plugin that reads one.
#[derive(Debug, Default)]
pub struct Configuration {
    pub pod_security: pod_security::Configuration,
}

impl Configuration {
    /// # Errors
    /// Names the file and what is wrong with it: a plugin that is told something
    /// here and would not hear it is an error too.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let file = yaml(path)?;
        let wrong = |why: String| Error::Content {
            path: path.to_owned(),
            why,
        };
        if meta::kind(&file) != "AdmissionConfiguration" {
            return Err(wrong("its kind must be AdmissionConfiguration".into()));
        }
        let mut read = Self::default();
        for plugin in meta::items(&file, "plugins") {
            let name = meta::text(plugin, "name");
            if name != "PodSecurity" {
                return Err(wrong(format!(
                    "plugin {name:?} takes no configuration here"
                )));
            }
            let beside = meta::text(plugin, "path");
            let told = if beside.is_empty() {
                plugin["configuration"].clone()
            } else {
                let directory = path.parent().unwrap_or(Path::new(""));
                yaml(&directory.join(beside))?
            };
            read.pod_security = pod_security::Configuration::read(&told).map_err(wrong)?;
        }
        Ok(read)
    }
}

fn yaml(path: &Path) -> Result<Value, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    serde_yaml::from_str(&text).map_err(|source| Error::Yaml {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Configuration, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admission.yaml");
        std::fs::write(&path, text).unwrap();
        Configuration::read(&path).map_err(|error| error.to_string())
    }

    const HEAD: &str = "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\n";

    #[test]
    fn defaults_and_exemptions_of_pod_security_are_read() {
        let text = format!(
            "{HEAD}plugins:\n- name: PodSecurity\n  configuration:\n    defaults: {{enforce: baseline, warn: restricted, warn-version: v1.30}}\n    exemptions: {{namespaces: [kube-system], usernames: [jane], runtimeClasses: [kata]}}\n"
        );
        let read = read(&text).unwrap().pod_security;
        assert_eq!(read.defaults.enforce.to_string(), "baseline:latest");
        assert_eq!(read.defaults.warn.to_string(), "restricted:v1.30");
        assert_eq!(read.defaults.audit.to_string(), "privileged:latest");
        assert_eq!(read.exempt("kube-system", "x", ""), Some("namespace"));
        assert_eq!(read.exempt("g", "jane", ""), Some("user"));
        assert_eq!(read.exempt("g", "x", "kata"), Some("runtimeClass"));
        assert_eq!(read.exempt("g", "x", ""), None);
    }

    #[test]
    fn what_nobody_would_hear_is_refused() {
        let told = read(&format!("{HEAD}plugins:\n- name: EventRateLimit\n")).unwrap_err();
        assert!(
            told.ends_with("plugin \"EventRateLimit\" takes no configuration here"),
            "{told}"
        );
        let level = format!(
            "{HEAD}plugins:\n- name: PodSecurity\n  configuration: {{defaults: {{enforce: tight}}}}\n"
        );
        let told = read(&level).unwrap_err();
        assert!(
            told.contains("must be one of privileged, baseline, restricted"),
            "{told}"
        );
    }
}

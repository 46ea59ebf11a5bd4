//! Kubernetes' TracingConfiguration.

use std::path::Path;

use serde::Deserialize;

use crate::Error;

const DEFAULT_ENDPOINT: &str = "localhost:4317";
const VERSIONS: [&str; 3] = [
    "apiserver.config.k8s.io/v1",
    "apiserver.config.k8s.io/v1beta1",
    "apiserver.config.k8s.io/v1alpha1",
];
const MILLION: u32 = 1_000_000;

/// Where traces go, and how many of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// A URL.
    pub endpoint: String,
    /// Of the requests that nobody else traces, from 0 to 1.
    pub rate: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    api_version: String,
    kind: String,
    endpoint: Option<String>,
    sampling_rate_per_million: Option<i64>,
}

impl Config {
    /// # Errors
    /// The file cannot be read, or says what cannot be done.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let path = path.to_owned();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(source) => return Err(Error::Read { path, source }),
        };
        match serde_yaml::from_str::<Document>(&text) {
            Ok(document) => document
                .config()
                .map_err(|what| Error::Config { path, what }),
            Err(source) => Err(Error::Syntax { path, source }),
        }
    }
}

impl Document {
    fn config(self) -> Result<Config, String> {
        if self.kind != "TracingConfiguration" || !VERSIONS.contains(&&*self.api_version) {
            let (kind, version) = (self.kind, self.api_version);
            return Err(format!(
                "{kind} of {version} is not a TracingConfiguration of {}",
                VERSIONS[0]
            ));
        }
        let rate = self.sampling_rate_per_million.unwrap_or(0);
        let rate = u32::try_from(rate).ok().filter(|rate| *rate <= MILLION);
        let rate = rate.ok_or("samplingRatePerMillion must be from 0 to 1000000")?;
        Ok(Config {
            endpoint: url(self.endpoint.as_deref().unwrap_or(DEFAULT_ENDPOINT))?,
            rate: f64::from(rate) / f64::from(MILLION),
        })
    }
}

/// Kubernetes' endpoints are HOST:PORT, and never encrypted.
fn url(endpoint: &str) -> Result<String, String> {
    match endpoint.split_once("://") {
        None if !endpoint.is_empty() => Ok(format!("http://{endpoint}")),
        Some(("http", _)) => Ok(endpoint.to_owned()),
        _ => Err(format!(
            "endpoint {endpoint:?} is no HOST:PORT of a collector that takes OTLP by gRPC without TLS"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        let document: Document = serde_yaml::from_str(text).map_err(|e| e.to_string())?;
        document.config()
    }

    const HEAD: &str = "apiVersion: apiserver.config.k8s.io/v1\nkind: TracingConfiguration\n";

    #[test]
    fn a_configuration_of_kubernetes_is_read() {
        let text = format!("{HEAD}endpoint: otel:4317\nsamplingRatePerMillion: 250000\n");
        let wanted = Config {
            endpoint: "http://otel:4317".into(),
            rate: 0.25,
        };
        assert_eq!(read(&text), Ok(wanted));
    }

    #[test]
    fn without_a_rate_only_what_others_trace_is_traced() {
        let config = read(HEAD).unwrap();
        assert_eq!(
            (config.rate, &*config.endpoint),
            (0.0, "http://localhost:4317")
        );
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for (more, why) in [
            ("samplingRatePerMillion: 1000001\n", "from 0 to 1000000"),
            ("endpoint: https://otel:4317\n", "without TLS"),
            ("protocol: http\n", "unknown field"),
        ] {
            let refused = read(&format!("{HEAD}{more}")).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
        let refused = read("apiVersion: v1\nkind: Pod\n").unwrap_err();
        assert!(refused.contains("not a TracingConfiguration"), "{refused}");
    }
}

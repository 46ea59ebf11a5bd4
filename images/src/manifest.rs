//! The documents that say what an image is made of; only what is needed of them.

use serde::Deserialize;

use crate::{Digest, Error, Result, limits};

/// An index's entry, or a manifest's part.
#[derive(Debug, Clone, Deserialize)]
pub struct Descriptor {
    pub digest: Digest,
    pub size: u64,
    #[serde(default)]
    pub platform: Option<Platform>,
    #[serde(default)]
    pub annotations: Option<std::collections::HashMap<String, String>>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Platform {
    pub architecture: String,
    pub os: String,
}

/// What a manifest's digest may lead to.
#[derive(Debug)]
pub enum Document {
    Manifest(Manifest),
    Index(Index),
}

#[derive(Debug, Clone, Deserialize)]
pub struct Manifest {
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Index {
    pub manifests: Vec<Descriptor>,
}

/// Both in one, to tell them apart without trusting the media type.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Either {
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    schema_version: u32,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
}

/// What a registry is told we understand.
pub const ACCEPT: &str = "application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, */*";

pub fn parse(bytes: &[u8]) -> Result<Document> {
    let either: Either = serde_json::from_slice(bytes).map_err(|source| Error::Json {
        what: "the manifest",
        source,
    })?;
    match (either.config, either.layers, either.manifests) {
        (_, _, Some(manifests)) if manifests.len() > limits::INDEX_ENTRIES => {
            Err(Error::TooLarge {
                what: "the number of an index's entries",
                limit: limits::INDEX_ENTRIES as u64,
            })
        }
        // CVE-2021-41190: a document that can be read both ways is read by nobody.
        (None, None, Some(manifests)) => Ok(Document::Index(Index { manifests })),
        (Some(config), Some(layers), None) => {
            check_parts(&config, &layers)?;
            Ok(Document::Manifest(Manifest { config, layers }))
        }
        _ if either.schema_version == 1 => Err(Error::MediaType(
            "docker image manifest version 1".to_owned(),
        )),
        _ => Err(Error::MediaType(
            either.media_type.chars().take(200).collect(),
        )),
    }
}

fn check_parts(config: &Descriptor, layers: &[Descriptor]) -> Result<()> {
    if layers.len() > limits::LAYERS {
        return Err(Error::TooLarge {
            what: "the number of layers",
            limit: limits::LAYERS as u64,
        });
    }
    if config.size > limits::CONFIG {
        return Err(Error::TooLarge {
            what: "the configuration's size",
            limit: limits::CONFIG,
        });
    }
    if layers.iter().any(|layer| layer.size > limits::LAYER) {
        return Err(Error::TooLarge {
            what: "a layer's size",
            limit: limits::LAYER,
        });
    }
    Ok(())
}

/// Go's name of this machine's architecture.
pub const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") {
    "arm64"
} else {
    "amd64"
};

impl Index {
    /// The entry for this machine; an entry that names no platform will do when none names it.
    pub fn choose(&self) -> Result<&Descriptor> {
        let fits = |d: &&Descriptor| {
            d.platform
                .as_ref()
                .is_some_and(|p| p.os == "linux" && p.architecture == ARCHITECTURE)
        };
        let unnamed = |d: &&Descriptor| d.platform.is_none();
        let found = self
            .manifests
            .iter()
            .find(fits)
            .or_else(|| self.manifests.iter().find(unnamed));
        found.ok_or(Error::Platform {
            architecture: ARCHITECTURE,
        })
    }
}

impl Manifest {
    /// Every layer needs its diff id, in the same order.
    pub fn check_layers(&self, diff_ids: usize) -> Result<()> {
        if self.layers.len() == diff_ids {
            return Ok(());
        }
        let problem = format!(
            "{} layers, and {diff_ids} diff ids in the configuration",
            self.layers.len()
        );
        Err(Error::Malformed {
            what: "the manifest",
            problem,
        })
    }

    /// Bytes of configuration and layers as they are transferred.
    pub fn size(&self) -> u64 {
        self.layers.iter().fold(self.config.size, |sum, layer| {
            sum.saturating_add(layer.size)
        })
    }
}

/// The digests of the plain layers, from the image's configuration.
pub fn diff_ids(config: &oci_spec::image::ImageConfiguration) -> Result<Vec<Digest>> {
    let malformed = |error: crate::digest::InvalidDigest| Error::Malformed {
        what: "rootfs.diff_ids of the configuration",
        problem: error.to_string(),
    };
    config
        .rootfs()
        .diff_ids()
        .iter()
        .map(|id| id.parse().map_err(malformed))
        .collect()
}

pub fn parse_config(bytes: &[u8]) -> Result<oci_spec::image::ImageConfiguration> {
    serde_json::from_slice(bytes).map_err(|source| Error::Json {
        what: "the image's configuration",
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(extra: &str) -> String {
        format!(r#"{{"digest":"{}","size":1{extra}}}"#, Digest::of(b""))
    }

    #[test]
    fn index_entry_of_this_machine_is_chosen() {
        let (other, mine) = (
            descriptor(r#","platform":{"os":"linux","architecture":"s390x"}"#),
            descriptor(&format!(
                r#","annotations":{{"a":"mine"}},"platform":{{"os":"linux","architecture":"{ARCHITECTURE}"}}"#
            )),
        );
        let Document::Index(index) =
            parse(format!(r#"{{"manifests":[{other},{mine}]}}"#).as_bytes()).unwrap()
        else {
            panic!("not an index");
        };
        assert_eq!(
            index.choose().unwrap().annotations.as_ref().unwrap()["a"],
            "mine"
        );
        let none = Index {
            manifests: index.manifests[..1].to_vec(),
        };
        assert!(
            none.choose()
                .unwrap_err()
                .to_string()
                .contains("no image for platform linux/")
        );
    }

    #[test]
    fn document_that_is_both_manifest_and_index_is_refused() {
        let d = descriptor("");
        assert!(
            parse(format!(r#"{{"config":{d},"layers":[],"manifests":[]}}"#).as_bytes()).is_err()
        );
        assert!(parse(b"{}").is_err());
        assert!(parse(b"[").is_err());
    }

    #[test]
    fn too_many_layers_are_refused() {
        let d = descriptor("");
        let layers = vec![d.clone(); 501].join(",");
        let error =
            parse(format!(r#"{{"config":{d},"layers":[{layers}]}}"#).as_bytes()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the number of layers is over the limit of 500"
        );
    }
}

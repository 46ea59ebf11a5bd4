//! One image as the node has it.

use std::path::PathBuf;

use oci_spec::image::ImageConfiguration;

use crate::Digest;

/// An image that is complete on this node.
#[derive(Debug, Clone)]
pub struct Image {
    /// The digest of the configuration.
    pub id: Digest,
    /// Normalised names with a tag, `docker.io/library/busybox:1`.
    pub names: Vec<String>,
    /// `docker.io/library/busybox@sha256:…`, the digest being the manifest's; empty for an imported image.
    pub repo_digests: Vec<String>,
    /// Bytes of manifest, configuration and layers as they were transferred.
    pub size: u64,
    /// Not to be removed by whoever only wants room; see [`crate::Images::pin`].
    pub is_pinned: bool,
    pub config: ImageConfiguration,
    /// Overlay lower directories, the top-most last.
    pub layers: Vec<PathBuf>,
}

impl Image {
    /// What Kubernetes shows as a container's `imageID`: the first repository digest, else the id.
    pub fn reported_id(&self) -> &str {
        self.repo_digests
            .first()
            .map_or(self.id.as_str(), String::as_str)
    }

    /// The names of the layers' directories, which tell them apart.
    pub(crate) fn layer_names(&self) -> Vec<String> {
        let names = self.layers.iter().filter_map(|path| path.file_name());
        names
            .map(|name| name.to_string_lossy().into_owned())
            .collect()
    }

    /// Entry point and arguments of the image, in that order.
    pub fn default_command(&self) -> (&[String], &[String]) {
        let config = self.config.config().as_ref();
        let entrypoint = config
            .and_then(|c| c.entrypoint().as_deref())
            .unwrap_or_default();
        let cmd = config.and_then(|c| c.cmd().as_deref()).unwrap_or_default();
        (entrypoint, cmd)
    }

    /// `NAME=value` pairs.
    pub fn env(&self) -> &[String] {
        self.config
            .config()
            .as_ref()
            .and_then(|c| c.env().as_deref())
            .unwrap_or_default()
    }

    /// `user`, `user:group`, ids or names; empty for root.
    pub fn user(&self) -> &str {
        self.config
            .config()
            .as_ref()
            .and_then(|c| c.user().as_deref())
            .unwrap_or_default()
    }

    /// Empty means `/`.
    pub fn working_dir(&self) -> &str {
        self.config
            .config()
            .as_ref()
            .and_then(|c| c.working_dir().as_deref())
            .unwrap_or_default()
    }

    /// `SIGQUIT`, `3`; none means SIGTERM.
    pub fn stop_signal(&self) -> Option<&str> {
        self.config
            .config()
            .as_ref()
            .and_then(|c| c.stop_signal().as_deref())
    }
}

//! The front door: what can be done with a node's images.

use std::{path::Path, sync::Arc};

use crate::{Credentials, Image, PullOptions, Reference, Registries, Result, build};

/// The images of one node, in one directory; cheap to clone.
#[derive(Clone)]
pub struct Images {
    registries: Arc<Registries>,
}

/// What [`Images::remove`] took away.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Removed {
    /// Names that no longer lead to an image.
    pub untagged: Vec<String>,
    /// The image's id, when nothing names it any more and it is gone.
    pub deleted: Option<crate::Digest>,
}

impl Images {
    /// Opens (and first makes) the store at `dir`.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(dir, Registries::default())
    }

    /// [`Images::open`] with registries that need more than the defaults.
    pub fn open_with(_dir: impl AsRef<Path>, registries: Registries) -> Result<Self> {
        Ok(Self {
            registries: Arc::new(registries),
        })
    }

    /// Fetches an image; pulls of one image at a time share the work.
    pub async fn pull(
        &self,
        reference: &Reference,
        auth: Option<&Credentials>,
    ) -> Result<Arc<Image>> {
        let options = PullOptions {
            credentials: auth.cloned(),
            ..PullOptions::default()
        };
        self.pull_with(reference, options).await
    }

    pub async fn pull_with(
        &self,
        _reference: &Reference,
        _options: PullOptions,
    ) -> Result<Arc<Image>> {
        todo!()
    }

    /// The image of this name, if it is complete on this node. Costs one `stat`.
    pub async fn find(&self, _reference: &Reference) -> Result<Option<Arc<Image>>> {
        todo!()
    }

    /// The image of a name as a user writes it, or of an id or the beginning of one.
    pub async fn lookup(&self, _name_or_id: &str) -> Result<Option<Arc<Image>>> {
        todo!()
    }

    /// Takes in a docker archive, an OCI archive or an OCI layout directory; told apart by content.
    pub async fn import(&self, path: &Path) -> Result<Vec<Arc<Image>>> {
        self.import_as(path, None).await
    }

    /// [`Images::import`], giving the (one) image this name instead of the archive's.
    pub async fn import_as(
        &self,
        _path: &Path,
        _name: Option<&Reference>,
    ) -> Result<Vec<Arc<Image>>> {
        todo!()
    }

    /// Takes in an image made here, see [`build::from_binary`].
    pub async fn add(&self, _built: build::Built) -> Result<Arc<Image>> {
        todo!()
    }

    /// All images, by name.
    pub async fn list(&self) -> Result<Vec<Arc<Image>>> {
        todo!()
    }

    /// Takes a name away, or by id all names; an image without names goes, and so do
    /// layers that no image and no [`Images::hold`] needs.
    pub async fn remove(&self, _name_or_id: &str) -> Result<Removed> {
        todo!()
    }

    /// Keeps the image's layers on disk for `holder` (a container's id) until [`Images::release`],
    /// whatever is removed meanwhile. Survives restarts.
    pub async fn hold(&self, _image: &Image, _holder: &str) -> Result<()> {
        todo!()
    }

    /// Ends a hold; fine when there was none.
    pub async fn release(&self, _holder: &str) -> Result<()> {
        todo!()
    }
}

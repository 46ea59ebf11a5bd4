//! The front door: what can be done with a node's images.

use std::{collections::HashSet, fs, io, path::Path, sync::Arc};

use tokio::task::spawn_blocking;

use crate::{
    Credentials, Digest, Error, Image, PullOptions, Reference, Registries, Result, build, copy,
    depot::Depot, disk::Disk, import, registry::Puller,
};

/// The images of one node, in one directory; cheap to clone.
#[derive(Clone)]
pub struct Images {
    depot: Arc<Depot>,
    puller: Arc<Puller>,
}

/// What [`Images::remove`] took away.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Removed {
    /// Names that no longer lead to an image.
    pub untagged: Vec<String>,
    /// The image's id, when nothing names it any more and it is gone.
    pub deleted: Option<Digest>,
}

impl Images {
    /// Opens (and first makes) the store at `dir`, and removes what a killed pull or import left there.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(dir, Registries::default())
    }

    /// [`Images::open`] with registries that need more than the defaults.
    pub fn open_with(dir: impl AsRef<Path>, registries: Registries) -> Result<Self> {
        let depot = Arc::new(Depot::new(Disk::open(dir.as_ref())?));
        depot.sweep()?;
        let puller = Arc::new(Puller::new(Arc::clone(&depot), registries));
        Ok(Self { depot, puller })
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

    /// [`Images::pull`] that tells how far it is.
    pub async fn pull_with(
        &self,
        reference: &Reference,
        options: PullOptions,
    ) -> Result<Arc<Image>> {
        let id = self.puller.pull(reference, options).await?;
        self.get(&id)
    }

    /// The image of this name, if it is complete on this node. Costs one `stat`.
    pub async fn find(&self, reference: &Reference) -> Result<Option<Arc<Image>>> {
        let images = self.depot.index.images()?;
        let by_digest = reference
            .digest()
            .map(|digest| reference.repo_digest(digest));
        let by_tag = if by_digest.is_none() {
            reference.tagged_name()
        } else {
            None
        };
        let is_it = |image: &&Arc<Image>| {
            by_digest
                .as_ref()
                .is_some_and(|name| image.repo_digests.contains(name))
                || by_tag
                    .as_ref()
                    .is_some_and(|name| image.names.contains(name))
        };
        Ok(images.iter().find(is_it).cloned())
    }

    /// The image of a name as a user writes it, or of an id or the beginning of one.
    ///
    /// # Errors
    /// Several images' ids begin like this.
    pub async fn lookup(&self, name_or_id: &str) -> Result<Option<Arc<Image>>> {
        if let Ok(reference) = name_or_id.parse()
            && let Some(image) = self.find(&reference).await?
        {
            return Ok(Some(image));
        }
        let digits = name_or_id.strip_prefix("sha256:").unwrap_or(name_or_id);
        if digits.len() < 4 {
            return Ok(None);
        }
        let images = self.depot.index.images()?;
        let mut found = images
            .iter()
            .filter(|image| image.id.hex().starts_with(digits));
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(Error::Ambiguous {
                wanted: name_or_id.to_owned(),
            }),
            (one, _) => Ok(one.cloned()),
        }
    }

    /// Takes in a docker archive, an OCI archive or an OCI layout directory; told apart by content.
    pub async fn import(&self, path: &Path) -> Result<Vec<Arc<Image>>> {
        self.import_as(path, None).await
    }

    /// [`Images::import`], giving the (one) image this name instead of the archive's.
    pub async fn import_as(
        &self,
        path: &Path,
        name: Option<&Reference>,
    ) -> Result<Vec<Arc<Image>>> {
        let (depot, path, name) = (Arc::clone(&self.depot), path.to_owned(), name.cloned());
        let ids = blocking(move || import::import(&depot, &path, name.as_ref())).await?;
        ids.iter().map(|id| self.get(id)).collect()
    }

    /// Fetches images from their registries into one OCI archive, and keeps nothing of them here.
    /// The archive is at `to` only when it is whole; [`Images::import`] takes it.
    pub async fn save(&self, images: &[Reference], to: &Path) -> Result<()> {
        self.puller.save(images, to).await
    }

    /// Takes in an image that another store on this machine has.
    pub async fn copy_from(&self, other: &Self, image: &Image) -> Result<Arc<Image>> {
        let (from, to) = (Arc::clone(&other.depot), Arc::clone(&self.depot));
        let id = image.id.clone();
        blocking(move || copy::copy(&from, &to, &id)).await?;
        self.get(&image.id)
    }

    /// Takes in an image made here, see [`build::from_binary`].
    pub async fn add(&self, built: build::Built) -> Result<Arc<Image>> {
        let depot = Arc::clone(&self.depot);
        let id = blocking(move || built.make(&depot)).await?;
        self.get(&id)
    }

    /// All images, by name.
    pub async fn list(&self) -> Result<Vec<Arc<Image>>> {
        Ok(self.depot.index.images()?.to_vec())
    }

    /// Takes a name away, or by id all names; an image without names goes, and so do
    /// layers that no image and no [`Images::hold`] needs.
    pub async fn remove(&self, name_or_id: &str) -> Result<Removed> {
        let missing = || Error::NotFound {
            wanted: name_or_id.to_owned(),
        };
        let image = self.lookup(name_or_id).await?.ok_or_else(missing)?;
        let name = name_or_id
            .parse::<Reference>()
            .ok()
            .map(|reference| reference.to_string());
        let name =
            name.filter(|name| image.names.contains(name) || image.repo_digests.contains(name));
        let (depot, id) = (Arc::clone(&self.depot), image.id.clone());
        blocking(move || depot.remove(&id, name.as_deref())).await
    }

    /// Has the image stay when room is made ([`Image::is_pinned`]), or ends that.
    pub async fn pin(&self, name_or_id: &str, is_pinned: bool) -> Result<Arc<Image>> {
        let image = self.lookup(name_or_id).await?;
        let image = image.ok_or_else(|| Error::NotFound {
            wanted: name_or_id.to_owned(),
        })?;
        let (depot, id) = (Arc::clone(&self.depot), image.id.clone());
        blocking(move || depot.pin(&id, is_pinned)).await?;
        self.get(&image.id)
    }

    /// The images whose layers somebody holds.
    pub async fn held(&self) -> Result<HashSet<Digest>> {
        let depot = Arc::clone(&self.depot);
        let held = blocking(move || depot.held_stacks()).await?;
        let images = self.depot.index.images()?;
        let is_held = |image: &&Arc<Image>| held.contains(&image.layer_names());
        Ok(images
            .iter()
            .filter(is_held)
            .map(|image| image.id.clone())
            .collect())
    }

    /// Removes what no image and no hold needs, if that had to be put off when the image went.
    pub async fn sweep(&self) -> Result<()> {
        let depot = Arc::clone(&self.depot);
        blocking(move || depot.sweep()).await
    }

    /// Keeps the image's layers on disk for `holder` (a container's id) until [`Images::release`],
    /// whatever is removed meanwhile. Survives restarts.
    ///
    /// # Errors
    /// The image was removed before it was held.
    pub async fn hold(&self, image: &Image, holder: &str) -> Result<()> {
        let bytes = serde_json::to_vec(&image.layer_names()).expect("strings are JSON");
        let (depot, path) = (Arc::clone(&self.depot), self.hold_path(holder)?);
        let (layers, wanted) = (image.layers.clone(), image.id.to_string());
        blocking(move || {
            // A sweep that has not seen the hold may be removing the layers just now.
            let _making = depot.disk.lock_making()?;
            depot.disk.replace(&path, &bytes)?;
            match layers.iter().all(|layer| layer.is_dir()) {
                true => Ok(()),
                false => Err(Error::NotFound { wanted }),
            }
        })
        .await
    }

    /// Ends a hold; fine when there was none.
    pub async fn release(&self, holder: &str) -> Result<()> {
        let path = self.hold_path(holder)?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::disk("remove", path)(error))
            }
            _ => Ok(()),
        }
    }

    fn hold_path(&self, holder: &str) -> Result<std::path::PathBuf> {
        let is_name = !holder.is_empty()
            && holder.len() <= 200
            && !holder.starts_with('.')
            && !holder.contains('/');
        if is_name {
            return Ok(self.depot.disk.holds().join(holder));
        }
        Err(Error::Malformed {
            what: "a holder's name",
            problem: format!("{holder:?} is no file name"),
        })
    }

    fn get(&self, id: &Digest) -> Result<Arc<Image>> {
        let images = self.depot.index.images()?;
        let missing = || Error::NotFound {
            wanted: id.to_string(),
        };
        images
            .iter()
            .find(|image| image.id == *id)
            .cloned()
            .ok_or_else(missing)
    }
}

/// Runs disk work where it may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime that is shutting down cancels blocking work; nobody is left to be told.
            Err(_) => std::future::pending().await,
        },
    }
}

//! Which images there are and what they are called: `index.json`.
//!
//! The file is the truth, for all processes; what is in memory is a copy that
//! lives as long as the file is the same.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::MetadataExt,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use crate::{
    Digest, Error, Image, Result, blobs::Blobs, disk::Disk, layers::Layers, limits, manifest,
};

/// What the file holds.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct Contents {
    pub images: Vec<Record>,
}

/// One image, complete on this disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    pub id: Digest,
    #[serde(default)]
    pub names: BTreeSet<String>,
    #[serde(default)]
    pub repo_digests: BTreeSet<String>,
    /// Manifests and indexes kept for this image.
    #[serde(default)]
    pub documents: BTreeSet<Digest>,
    pub size: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    /// Directory names, the top-most last.
    pub layers: Vec<String>,
}

/// All images as they were at one time.
pub type Snapshot = Arc<Vec<Arc<Image>>>;

/// The index of one store.
pub struct Index {
    disk: Disk,
    blobs: Blobs,
    layers: Layers,
    cached: Mutex<Option<(Stamp, Snapshot)>>,
}

/// Tells one version of the file from another; every change makes a new inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    modified: (i64, i64),
}

impl Index {
    pub fn new(disk: Disk) -> Self {
        let (blobs, layers) = (Blobs::new(disk.clone()), Layers::new(disk.clone()));
        Self {
            disk,
            blobs,
            layers,
            cached: Mutex::new(None),
        }
    }

    /// All images; costs one `stat` when nothing changed.
    pub fn images(&self) -> Result<Snapshot> {
        let stamp = self.stamp()?;
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, images)) = &*cached
            && *known == stamp
        {
            return Ok(Arc::clone(images));
        }
        let mut images: Vec<_> = self
            .read()?
            .images
            .iter()
            .filter_map(|record| self.image(record))
            .collect();
        images.sort_by(|a, b| (&a.names, &a.id).cmp(&(&b.names, &b.id)));
        let images = Arc::new(images);
        *cached = Some((stamp, Arc::clone(&images)));
        Ok(images)
    }

    /// Changes the index under its lock; what `change` returns is written unless it left all as it was.
    pub fn change<T>(&self, change: impl FnOnce(&mut Contents) -> Result<T>) -> Result<T> {
        let _lock = self.disk.lock_index()?;
        let mut contents = self.read()?;
        let before = contents.images.clone();
        let result = change(&mut contents)?;
        if contents.images != before {
            let bytes = serde_json::to_vec(&contents).expect("strings and numbers are JSON");
            self.disk.replace(&self.disk.index(), &bytes)?;
        }
        Ok(result)
    }

    pub fn read(&self) -> Result<Contents> {
        let path = self.disk.index();
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|source| Error::Json {
                what: "index.json",
                source,
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Contents::default()),
            Err(error) => Err(Error::disk("read", path)(error)),
        }
    }

    fn stamp(&self) -> Result<Stamp> {
        let path = self.disk.index();
        match fs::metadata(&path) {
            Ok(meta) => Ok(Stamp {
                inode: meta.ino(),
                modified: (meta.mtime(), meta.mtime_nsec()),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Stamp {
                inode: 0,
                modified: (0, 0),
            }),
            Err(error) => Err(Error::disk("read", path)(error)),
        }
    }

    /// None, with a warning, for an image whose files somebody took away: it can be pulled or imported again.
    fn image(&self, record: &Record) -> Option<Arc<Image>> {
        let bytes = self
            .blobs
            .read(&record.id, limits::CONFIG, "the image's configuration");
        let config = match bytes.and_then(|bytes| manifest::parse_config(&bytes)) {
            Ok(config) => config,
            Err(error) => {
                tracing::warn!(image = %record.id, error = error.chain(), "image is damaged, leaving it out");
                return None;
            }
        };
        let layers: Vec<_> = record
            .layers
            .iter()
            .map(|name| self.layers.path(name))
            .collect();
        if let Some(missing) = layers.iter().find(|path| !path.is_dir()) {
            tracing::warn!(image = %record.id, missing = %missing.display(), "image lacks a layer, leaving it out");
            return None;
        }
        Some(Arc::new(Image {
            id: record.id.clone(),
            names: record.names.iter().cloned().collect(),
            repo_digests: record.repo_digests.iter().cloned().collect(),
            size: record.size,
            is_pinned: record.pinned,
            config,
            layers,
        }))
    }
}

impl Contents {
    /// Takes an image in: its names move here from whatever they named before.
    pub fn add(&mut self, record: Record) {
        for other in self.images.iter_mut().filter(|other| other.id != record.id) {
            other.names.retain(|name| !record.names.contains(name));
        }
        match self.images.iter_mut().find(|known| known.id == record.id) {
            Some(known) => {
                known.names.extend(record.names);
                known.repo_digests.extend(record.repo_digests);
                known.documents.extend(record.documents);
                known.layers = record.layers;
                known.size = record.size;
                known.pinned |= record.pinned;
            }
            None => self.images.push(record),
        }
        self.images
            .retain(|image| !image.names.is_empty() || !image.repo_digests.is_empty());
    }
}

//! The parts of a store that lie on disk, and how an image becomes one of them or goes.

use std::{collections::HashSet, fs, io};

use crate::{
    Digest, Error, Removed, Result,
    blobs::Blobs,
    disk::{self, Disk},
    index::{Contents, Index, Record},
    layers::Layers,
};

/// Blobs, layers and index of one directory.
pub struct Depot {
    pub disk: Disk,
    pub blobs: Blobs,
    pub layers: Layers,
    pub index: Index,
}

impl Depot {
    pub fn new(disk: Disk) -> Self {
        let (blobs, layers) = (Blobs::new(disk.clone()), Layers::new(disk.clone()));
        Self {
            blobs,
            layers,
            index: Index::new(disk.clone()),
            disk,
        }
    }

    /// Makes images durable, and then visible.
    pub fn keep(&self, records: Vec<Record>) -> Result<()> {
        self.disk.sync()?;
        self.index.change(|contents| {
            records.into_iter().for_each(|record| contents.add(record));
            Ok(())
        })
    }

    /// Takes one name away, or with none all of the image; the last name takes the image along.
    pub fn remove(&self, id: &Digest, name: Option<&str>) -> Result<Removed> {
        let remove = |contents: &mut Contents| {
            let Some(at) = contents.images.iter().position(|image| image.id == *id) else {
                return Ok(Removed::default());
            };
            let image = &mut contents.images[at];
            if let Some(name) = name {
                image.names.remove(name);
                image.repo_digests.remove(name);
                if !image.names.is_empty() {
                    return Ok(Removed {
                        untagged: vec![name.to_owned()],
                        deleted: None,
                    });
                }
            }
            let gone = contents.images.remove(at);
            let names = name
                .map(str::to_owned)
                .into_iter()
                .chain(gone.names)
                .chain(gone.repo_digests);
            Ok(Removed {
                untagged: names.collect(),
                deleted: Some(gone.id),
            })
        };
        let removed = self.disk.with_spare(|| self.index.change(remove))?;
        self.sweep()?;
        Ok(removed)
    }

    /// Notes that the image is to stay, or is not.
    pub fn pin(&self, id: &Digest, is_pinned: bool) -> Result<()> {
        self.index.change(|contents| {
            let images = contents.images.iter_mut();
            images
                .filter(|image| image.id == *id)
                .for_each(|image| image.pinned = is_pinned);
            Ok(())
        })
    }

    /// Removes blobs and layers that nothing needs; leaves it to a later sweep while anybody makes an image.
    pub fn sweep(&self) -> Result<()> {
        let Some(_lock) = self.disk.try_lock_sweeping()? else {
            return Ok(());
        };
        let contents = self.index.read()?;
        let mut layers: HashSet<String> = self.held_stacks()?.into_iter().flatten().collect();
        let mut blobs: HashSet<String> = HashSet::new();
        for image in contents.images {
            layers.extend(image.layers);
            blobs.insert(image.id.hex().to_owned());
            blobs.extend(image.documents.iter().map(|digest| digest.hex().to_owned()));
        }
        self.disk.clear_staging()?;
        for (dir, needed) in [(self.disk.layers(), layers), (self.disk.blobs(), blobs)] {
            for path in disk::list(&dir)? {
                let is_needed = path
                    .file_name()
                    .and_then(|name| name.to_str())
                    .is_some_and(|n| needed.contains(n));
                if !is_needed {
                    self.disk.with_spare(|| self.disk.discard(&path))?;
                }
            }
        }
        Ok(())
    }

    /// The layers that each holder has, top-most last.
    pub fn held_stacks(&self) -> Result<HashSet<Vec<String>>> {
        let mut held = HashSet::new();
        for path in disk::list(&self.disk.holds())? {
            let bytes = match fs::read(&path) {
                // It was released meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                read => read.map_err(Error::disk("read", &path))?,
            };
            let names: Vec<String> =
                serde_json::from_slice(&bytes).map_err(|source| Error::Json {
                    what: "a hold",
                    source,
                })?;
            held.insert(names);
        }
        Ok(held)
    }
}

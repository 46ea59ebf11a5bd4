//! Unpacked layers, each made once and shared by all images that have it.
//!
//! A layer lies in `layers/<diff id>`. A layer that names directories only by
//! what is in them takes their owner and mode from what it stands on, so it
//! lies in `layers/<chain id>`: the same bytes on another base are another
//! directory.

use std::{
    fs,
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::{
    Digest, Error, Result,
    content::{self, Hashing},
    disk::Disk,
    limits, unpack,
};

/// The unpacked layers of a store.
#[derive(Debug, Clone)]
pub struct Layers {
    disk: Disk,
}

/// A layer's place in an image: what it is and what it stands on.
#[derive(Debug, Clone)]
pub struct Position {
    pub diff_id: Digest,
    /// The digest of this layer and all below it (OCI image spec, "Layer ChainID").
    pub chain_id: Digest,
}

/// The positions of an image's layers, bottom first.
pub fn positions(diff_ids: &[Digest]) -> Vec<Position> {
    let mut chain: Option<Digest> = None;
    let mut next = |diff_id: &Digest| {
        let chain_id = match &chain {
            Some(below) => Digest::of(format!("{below} {diff_id}").as_bytes()),
            None => diff_id.clone(),
        };
        chain = Some(chain_id.clone());
        Position {
            diff_id: diff_id.clone(),
            chain_id,
        }
    };
    diff_ids.iter().map(&mut next).collect()
}

impl Layers {
    pub fn new(disk: Disk) -> Self {
        Self { disk }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.disk.layers().join(name)
    }

    /// The directory name of a layer that is there.
    pub fn find(&self, position: &Position) -> Option<String> {
        let names = [position.diff_id.hex(), position.chain_id.hex()];
        names
            .into_iter()
            .find(|name| self.path(name).is_dir())
            .map(str::to_owned)
    }

    /// Unpacks a layer, which may be compressed, if it is not there yet. `below` are the names of the layers it
    /// stands on.
    ///
    /// # Errors
    /// The stream is not the layer that `position` names, or cannot be unpacked; nothing of it is kept.
    pub fn make(
        &self,
        position: &Position,
        stream: impl Read + Send,
        below: &[String],
    ) -> Result<String> {
        if let Some(name) = self.find(position) {
            return Ok(name);
        }
        let fail = |source| Error::Layer {
            layer: position.diff_id.clone(),
            source: Box::new(source),
        };
        self.unpack(position, stream, below).map_err(fail)
    }

    fn unpack(
        &self,
        position: &Position,
        stream: impl Read + Send,
        below: &[String],
    ) -> Result<String> {
        let staged = self.disk.staged_dir()?;
        let root = staged.path().join("layer");
        fs::create_dir(&root).map_err(Error::disk("create", &root))?;
        let open_to_all = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&root, open_to_all).map_err(Error::disk("set the mode of", &root))?;

        let plain = content::decompress(stream).map_err(Error::Tar)?;
        let mut hashing = Hashing::new(plain, limits::LAYER_UNPACKED);
        let unpacked = unpack::unpack(ByRef(&mut hashing), &root)?;
        let (actual, _) = hashing.finish().map_err(Error::Tar)?;
        content::check(&position.diff_id, actual)?;

        let stands_alone = unpacked.implied.is_empty() || below.is_empty();
        let name = if stands_alone {
            position.diff_id.hex()
        } else {
            position.chain_id.hex()
        };
        if !stands_alone {
            let below: Vec<PathBuf> = below.iter().map(|name| self.path(name)).collect();
            unpack::inherit(&root, &unpacked.implied, &below)?;
        }
        self.publish(&root, name)?;
        Ok(name.to_owned())
    }

    /// Gives a finished tree its place.
    pub fn publish(&self, root: &Path, name: &str) -> Result<()> {
        let path = self.path(name);
        match fs::rename(root, &path) {
            // Somebody else made the same layer meanwhile; theirs is as good.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
                ) =>
            {
                Ok(())
            }
            other => other.map_err(Error::disk("keep the layer at", path)),
        }
    }
}

struct ByRef<'a, R>(&'a mut Hashing<R>);

impl<R: Read> Read for ByRef<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl<R: Read> crate::tarball::Source for ByRef<'_, R> {}

//! Images made on the spot, with no registry and no archive.

use std::{
    fs::File,
    io::{self, Read},
    path::PathBuf,
};

use oci_spec::image::{Arch, Config, ImageConfiguration, Os, RootFs};
use tar::{EntryType, Header};

use crate::{
    Digest, Error, Reference, Result, content::Hashing, depot::Depot, index::Record, layers,
    limits, manifest,
};

/// An image still to be taken in by [`crate::Images::add`].
#[derive(Debug, Clone)]
pub struct Built {
    name: Reference,
    binary: PathBuf,
    at: String,
    config: Config,
}

/// An image of one layer that holds one static binary at `at` (`/skiff`), and runs it with `args`.
///
/// The same binary makes the same image, digest for digest.
pub fn from_binary(name: Reference, binary: impl Into<PathBuf>, at: &str, args: &[&str]) -> Built {
    let mut config = Config::default();
    config.set_entrypoint(Some(vec![at.to_owned()]));
    config.set_cmd((!args.is_empty()).then(|| args.iter().map(|&arg| arg.to_owned()).collect()));
    Built {
        name,
        binary: binary.into(),
        at: at.to_owned(),
        config,
    }
}

impl Built {
    /// Sets `NAME=value` pairs.
    pub fn env(mut self, env: &[&str]) -> Self {
        self.config
            .set_env(Some(env.iter().map(|&pair| pair.to_owned()).collect()));
        self
    }

    /// Sets the user the binary runs as, `65534` or `65534:65534`.
    pub fn user(mut self, user: &str) -> Self {
        self.config.set_user(Some(user.to_owned()));
        self
    }

    /// Takes the image in; the layer is hashed first, and unpacked only if it is new.
    pub(crate) fn make(self, depot: &Depot) -> Result<Digest> {
        let _making = depot.disk.lock_making()?;
        let hashed = Hashing::new(self.layer()?, limits::LAYER_UNPACKED).finish();
        let (diff_id, size) = hashed.map_err(Error::disk("read", &self.binary))?;
        let positions = layers::positions(std::slice::from_ref(&diff_id));
        let layer = depot.layers.make(&positions[0], self.layer()?, &[])?;
        let config = self.configuration(&diff_id);
        let id = Digest::of(&config);
        depot.blobs.write(&id, &config)?;
        let no_tag = || Error::Malformed {
            what: "the name",
            problem: "a built image is named by a tag".to_owned(),
        };
        let name = self.name.tagged_name().ok_or_else(no_tag)?;
        let size = size + config.len() as u64;
        depot.keep(vec![Record {
            id: id.clone(),
            names: [name].into(),
            repo_digests: Default::default(),
            documents: Default::default(),
            size,
            pinned: false,
            layers: vec![layer],
        }])?;
        Ok(id)
    }

    fn configuration(&self, diff_id: &Digest) -> Vec<u8> {
        let mut rootfs = RootFs::default();
        rootfs.set_diff_ids(vec![diff_id.to_string()]);
        let mut image = ImageConfiguration::default();
        image.set_architecture(Arch::from(manifest::ARCHITECTURE));
        image.set_os(Os::Linux);
        image.set_config(Some(self.config.clone()));
        image.set_rootfs(rootfs);
        serde_json::to_vec(&image).expect("a configuration is JSON")
    }

    /// The layer's tar stream: the directories above the binary, and the binary.
    fn layer(&self) -> Result<impl Read + Send + use<>> {
        let open = File::open(&self.binary).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (size, file) = open.map_err(Error::disk("read", &self.binary))?;
        let path = self.at.trim_matches('/');
        let mut headers = Vec::new();
        let directories = path.match_indices('/').map(|(slash, _)| &path[..slash]);
        for directory in directories {
            headers.extend(self.header(directory, EntryType::Directory, 0)?);
        }
        headers.extend(self.header(path, EntryType::Regular, size)?);
        let padding = size.next_multiple_of(512) - size;
        let end = io::repeat(0).take(padding + 1024);
        Ok(io::Cursor::new(headers).chain(file.take(size)).chain(end))
    }

    fn header(&self, path: &str, kind: EntryType, size: u64) -> Result<[u8; 512]> {
        let mut header = Header::new_gnu();
        header
            .set_path(path)
            .map_err(Error::disk("use as a path in an image", &self.at))?;
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        Ok(*header.as_bytes())
    }
}

//! Images as archives, straight from their registries: for machines that reach none.
//!
//! An archive is an OCI layout with the blobs as they were transferred, so that digests stay what they are.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::json;
use tar::{Builder, EntryType, Header};
use tempfile::{NamedTempFile, TempDir};

use super::{pull, transport::Transport};
use crate::{Digest, Error, Reference, Result, depot::Depot, disk::Disk, import, store::blocking};

/// What the index says of a manifest that does not say it itself.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// One image, all of whose blobs are there.
pub struct Saved {
    pub name: String,
    pub manifest: Digest,
    pub blobs: BTreeSet<Digest>,
}

/// Fetches the images into an archive at `to`, which is there only when it is whole.
pub async fn run(transport: &Arc<Transport>, images: &[Reference], to: &Path) -> Result<()> {
    let (dir, depot) = beside(to)?;
    let mut saved = Vec::new();
    for image in images {
        saved.push(pull::blobs(&depot, transport, image).await?);
    }
    let to = to.to_owned();
    blocking(move || write(&depot, &saved, dir.path(), &to)).await
}

/// On the disk that the archive will be on.
fn beside(to: &Path) -> Result<(TempDir, Arc<Depot>)> {
    let parent = match to.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let dir = TempDir::with_prefix_in(".skiff-save-", parent);
    let dir = dir.map_err(Error::disk("create a directory in", parent))?;
    let depot = Depot::new(Disk::open(dir.path())?);
    Ok((dir, Arc::new(depot)))
}

fn write(depot: &Depot, saved: &[Saved], dir: &Path, to: &Path) -> Result<()> {
    let fail = |error| Error::disk("write", to)(error);
    let file = NamedTempFile::new_in(dir).map_err(fail)?;
    archive(depot, saved, file.as_file())?;
    file.as_file().sync_all().map_err(fail)?;
    // A pipe or a device is written to, not replaced.
    let is_file = to.metadata().map_or(true, |about| about.is_file());
    if is_file {
        return file
            .persist(to)
            .map(drop)
            .map_err(|error| fail(error.error));
    }
    let copy = || {
        let mut out = OpenOptions::new().write(true).open(to)?;
        io::copy(&mut file.reopen()?, &mut out)?;
        out.flush()
    };
    copy().map_err(fail)
}

fn archive(depot: &Depot, saved: &[Saved], file: &File) -> Result<()> {
    let mut tar = Builder::new(io::BufWriter::new(file));
    let mut manifests = Vec::new();
    let mut blobs: BTreeMap<&Digest, PathBuf> = BTreeMap::new();
    for image in saved {
        let bytes = depot
            .blobs
            .read(&image.manifest, crate::limits::MANIFEST, "the manifest")?;
        let manifest: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
        manifests.push(json!({
            "mediaType": manifest["mediaType"].as_str().unwrap_or(MANIFEST),
            "digest": image.manifest, "size": bytes.len(),
            "annotations": { import::FULL_NAME: image.name, import::REF_NAME: image.name },
        }));
        blobs.extend(
            image
                .blobs
                .iter()
                .map(|digest| (digest, depot.blobs.path(digest))),
        );
    }
    let index = json!({ "schemaVersion": 2, "manifests": manifests }).to_string();
    let layout = br#"{"imageLayoutVersion":"1.0.0"}"#;
    let written = entry(&mut tar, "oci-layout", layout.len() as u64, &layout[..])
        .and_then(|()| entry(&mut tar, "index.json", index.len() as u64, index.as_bytes()))
        .and_then(|()| {
            for (digest, path) in blobs {
                let blob = File::open(path)?;
                let size = blob.metadata()?.len();
                entry(
                    &mut tar,
                    &format!("blobs/sha256/{}", digest.hex()),
                    size,
                    blob,
                )?;
            }
            tar.into_inner()?.flush()
        });
    written.map_err(Error::disk("write", "the archive"))
}

/// Files of nobody in particular, of no time: an archive depends on its images alone.
fn entry<W: Write>(
    tar: &mut Builder<W>,
    path: &str,
    size: u64,
    content: impl io::Read,
) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    tar.append_data(&mut header, path, content)
}

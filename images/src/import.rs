//! Taking in images from files: docker archives, OCI archives, OCI layouts.

mod archive;
mod docker;
mod oci;

pub use oci::{FULL_NAME, REF_NAME};

use std::path::Path;

use archive::Archive;

use crate::{Digest, Error, Reference, Result, depot::Depot, index::Record, limits};

/// Takes in all images of the archive or directory at `path`, all of them or none.
///
/// # Errors
/// The file is no image archive, is damaged, or names no image and `name` is none.
pub fn import(depot: &Depot, path: &Path, name: Option<&Reference>) -> Result<Vec<Digest>> {
    let fail = |source| Error::Import {
        path: path.to_owned(),
        source: Box::new(source),
    };
    let _making = depot.disk.lock_making()?;
    let records = read(depot, path)
        .and_then(|records| rename(records, name))
        .map_err(fail)?;
    let ids = records.iter().map(|record| record.id.clone()).collect();
    depot.keep(records)?;
    Ok(ids)
}

/// Told apart by content. A `docker save` of today is both; its `manifest.json` has the full names.
fn read(depot: &Depot, path: &Path) -> Result<Vec<Record>> {
    let archive = Archive::open(&depot.disk, path)?;
    if let Some(manifest) = archive.read("manifest.json", limits::MANIFEST, "manifest.json")? {
        return docker::read(depot, &archive, &manifest);
    }
    match archive.read("index.json", limits::MANIFEST, "index.json")? {
        Some(index) => oci::read(depot, &archive, &index),
        None => Err(Error::UnknownArchive),
    }
}

fn rename(mut records: Vec<Record>, name: Option<&Reference>) -> Result<Vec<Record>> {
    let malformed = |problem: &str| Error::Malformed {
        what: "the archive",
        problem: problem.to_owned(),
    };
    if let Some(name) = name {
        let [record] = records.as_mut_slice() else {
            return Err(malformed(
                "it holds more than one image, so one name will not do",
            ));
        };
        let name = name
            .tagged_name()
            .ok_or_else(|| malformed("an imported image is named by a tag, not a digest"))?;
        record.names = [name].into();
    }
    if records.is_empty() {
        return Err(malformed("it holds no image for this machine"));
    }
    if records.iter().any(|record| record.names.is_empty()) {
        return Err(malformed("it gives an image no name: say one with --as"));
    }
    Ok(records)
}

/// Names as archives have them; one that is none is passed over.
fn parse_name(name: &str) -> Option<String> {
    match name.parse::<Reference>() {
        Ok(reference) => reference.tagged_name(),
        Err(error) => {
            tracing::warn!(%error, "passing over a name in an image archive");
            None
        }
    }
}

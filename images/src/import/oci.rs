//! OCI image layouts, as a directory or as a tar of one.

use std::collections::BTreeSet;

use super::archive::Archive;
use crate::{
    Digest, Error, Result,
    blobs::Verified,
    content,
    depot::Depot,
    index::Record,
    layers, limits,
    manifest::{self, Descriptor, Document, Index, Manifest},
};

pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// containerd's, and docker's since it saves layouts: always the full name.
pub const FULL_NAME: &str = "io.containerd.image.name";

pub fn read(depot: &Depot, archive: &Archive, index: &[u8]) -> Result<Vec<Record>> {
    let Document::Index(index) = manifest::parse(index)? else {
        return Err(Error::UnknownArchive);
    };
    let has_name = |d: &&Descriptor| name(d).is_some();
    let mut wanted: Vec<&Descriptor> = index.manifests.iter().filter(has_name).collect();
    if wanted.is_empty() && !index.manifests.is_empty() {
        wanted.push(index.choose()?);
    }
    let mut records: Vec<Record> = Vec::new();
    for descriptor in wanted {
        let record = image(depot, archive, descriptor)?;
        // One image under several names is several entries of the index.
        match records.iter_mut().find(|known| known.id == record.id) {
            Some(known) => known.names.extend(record.names),
            None => records.push(record),
        }
    }
    Ok(records)
}

fn name(descriptor: &Descriptor) -> Option<&str> {
    let annotations = descriptor.annotations.as_ref()?;
    annotations
        .get(FULL_NAME)
        .or_else(|| annotations.get(REF_NAME))
        .map(String::as_str)
}

fn image(depot: &Depot, archive: &Archive, descriptor: &Descriptor) -> Result<Record> {
    let mut documents = BTreeSet::new();
    let manifest = find_manifest(depot, archive, descriptor, &mut documents)?;
    let config = document(
        archive,
        &manifest.config,
        limits::CONFIG,
        "the image's configuration",
    )?;
    let diff_ids = manifest::diff_ids(&manifest::parse_config(&config)?)?;
    manifest.check_layers(diff_ids.len())?;
    depot.blobs.write(&manifest.config.digest, &config)?;
    let mut record = Record {
        id: manifest.config.digest.clone(),
        names: name(descriptor)
            .and_then(super::parse_name)
            .into_iter()
            .collect(),
        repo_digests: BTreeSet::new(),
        documents,
        size: manifest.size(),
        pinned: false,
        layers: Vec::new(),
    };
    for (position, layer) in layers::positions(&diff_ids).iter().zip(&manifest.layers) {
        let name = match depot.layers.find(position) {
            Some(name) => name,
            None => unpack(depot, archive, position, layer, &record.layers)?,
        };
        record.layers.push(name);
    }
    Ok(record)
}

/// The diff id vouches for the content; the blob's own digest is checked so that a damaged archive is named as such.
fn unpack(
    depot: &Depot,
    archive: &Archive,
    position: &layers::Position,
    layer: &Descriptor,
    below: &[String],
) -> Result<String> {
    let (_, stream) = archive.part(&path(&layer.digest))?;
    let mut verified = Verified::new(stream, layer.digest.clone(), limits::LAYER);
    let name = depot.layers.make(position, &mut verified, below)?;
    verified.finish()?;
    Ok(name)
}

fn find_manifest(
    depot: &Depot,
    archive: &Archive,
    descriptor: &Descriptor,
    documents: &mut BTreeSet<Digest>,
) -> Result<Manifest> {
    let mut descriptor = descriptor.clone();
    for _ in 0..limits::INDEX_DEPTH {
        let bytes = document(archive, &descriptor, limits::MANIFEST, "the manifest")?;
        depot.blobs.write(&descriptor.digest, &bytes)?;
        documents.insert(descriptor.digest.clone());
        match manifest::parse(&bytes)? {
            Document::Manifest(manifest) => return Ok(manifest),
            Document::Index(index) => descriptor = Index::choose(&index)?.clone(),
        }
    }
    Err(Error::TooLarge {
        what: "the depth of indexes",
        limit: limits::INDEX_DEPTH as u64,
    })
}

fn document(
    archive: &Archive,
    descriptor: &Descriptor,
    limit: u64,
    what: &'static str,
) -> Result<Vec<u8>> {
    let (_, stream) = archive.part(&path(&descriptor.digest))?;
    let bytes = content::read_document(stream, limit, what)?;
    content::check(&descriptor.digest, Digest::of(&bytes))?;
    Ok(bytes)
}

fn path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

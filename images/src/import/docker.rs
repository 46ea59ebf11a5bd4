//! What `docker save` and `skopeo copy … docker-archive:` write.

use serde::Deserialize;

use super::archive::Archive;
use crate::{
    Digest, Error, Result, content, depot::Depot, index::Record, layers, limits, manifest,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

pub fn read(depot: &Depot, archive: &Archive, manifest: &[u8]) -> Result<Vec<Record>> {
    let items: Vec<Item> = serde_json::from_slice(manifest).map_err(|source| Error::Json {
        what: "manifest.json",
        source,
    })?;
    if items.len() > limits::ARCHIVE_IMAGES {
        let limit = limits::ARCHIVE_IMAGES as u64;
        return Err(Error::TooLarge {
            what: "the number of images in the archive",
            limit,
        });
    }
    items
        .iter()
        .map(|item| image(depot, archive, item))
        .collect()
}

fn image(depot: &Depot, archive: &Archive, item: &Item) -> Result<Record> {
    let (_, stream) = archive.part(&item.config)?;
    let bytes = content::read_document(stream, limits::CONFIG, "the image's configuration")?;
    let id = Digest::of(&bytes);
    let diff_ids = manifest::diff_ids(&manifest::parse_config(&bytes)?)?;
    if diff_ids.len() != item.layers.len() || diff_ids.len() > limits::LAYERS {
        let problem = format!(
            "{} layers, and {} diff ids",
            item.layers.len(),
            diff_ids.len()
        );
        return Err(Error::Malformed {
            what: "manifest.json",
            problem,
        });
    }
    depot.blobs.write(&id, &bytes)?;
    let mut record = Record {
        names: item
            .repo_tags
            .iter()
            .flatten()
            .filter_map(|name| super::parse_name(name))
            .collect(),
        repo_digests: Default::default(),
        documents: Default::default(),
        size: bytes.len() as u64,
        pinned: false,
        layers: Vec::new(),
        id,
    };
    for (position, file) in layers::positions(&diff_ids).iter().zip(&item.layers) {
        let (size, stream) = archive.part(file)?;
        record.size += size;
        let layer = depot.layers.make(position, stream, &record.layers)?;
        record.layers.push(layer);
    }
    Ok(record)
}

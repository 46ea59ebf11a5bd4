//! One pull from name to image: resolve, manifest, configuration, layers.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{Method, StatusCode};
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

use super::{
    Error, OnProgress, Progress, PullOptions, download, registries::Endpoint, save::Saved,
    session::Session, transport, transport::Transport,
};
use crate::{
    Digest, Kind, Reference, Result, content,
    depot::Depot,
    index::Record,
    layers::{self, Position},
    limits,
    manifest::{self, Descriptor, Document, Manifest},
    store::blocking,
};

/// Layers fetched at a time.
const PARALLEL: usize = 3;
const DIGEST_HEADER: &str = "docker-content-digest";

/// Waits for a download that nobody cancels.
async fn joined(download: Download) -> Result<(), Error> {
    let ended = download.await;
    ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

struct Pull {
    depot: Arc<Depot>,
    session: Arc<Session>,
    reference: Reference,
    progress: Option<OnProgress>,
}

type Download = AbortOnDropHandle<Result<(), Error>>;
type Downloads = HashMap<Digest, Download>;

/// Pulls the image, and makes it one of the depot's.
pub async fn run(
    depot: Arc<Depot>,
    transport: Arc<Transport>,
    reference: Reference,
    options: PullOptions,
) -> Result<Digest> {
    let mut attempts = Attempts::new(&reference);
    for (host, pull) in everywhere(&depot, &transport, &reference, &options) {
        match pull.run().await {
            Ok(digest) => return Ok(digest),
            Err(error) => attempts.note(host, error)?,
        }
    }
    Err(attempts.over())
}

/// Fetches what the image is made of into the depot's blobs, and nothing else.
pub async fn blobs(
    depot: &Arc<Depot>,
    transport: &Arc<Transport>,
    reference: &Reference,
) -> Result<Saved> {
    let mut attempts = Attempts::new(reference);
    for (host, pull) in everywhere(depot, transport, reference, &PullOptions::default()) {
        match pull.save().await {
            Ok(saved) => return Ok(saved),
            Err(error) => attempts.note(host, error)?,
        }
    }
    Err(attempts.over())
}

/// A pull for each host that may have the image, in order.
fn everywhere(
    depot: &Arc<Depot>,
    transport: &Arc<Transport>,
    reference: &Reference,
    options: &PullOptions,
) -> Vec<(String, Pull)> {
    let endpoints = transport
        .registries
        .endpoints(reference, options.credentials.as_ref());
    let pull = |endpoint: Endpoint| {
        let host = endpoint.host.clone();
        let pull = Pull {
            depot: Arc::clone(depot),
            session: Arc::new(Session::new(Arc::clone(transport), endpoint, reference)),
            reference: reference.clone(),
            progress: options.progress.clone(),
        };
        (host, pull)
    };
    endpoints.into_iter().map(pull).collect()
}

/// What came of the hosts that were asked.
struct Attempts {
    reference: String,
    failed: Vec<(String, Error)>,
}

impl Attempts {
    fn new(reference: &Reference) -> Self {
        Self {
            reference: reference.to_string(),
            failed: Vec::new(),
        }
    }

    /// # Errors
    /// This machine's disk refused, which another host does not mend.
    fn note(&mut self, host: String, error: Error) -> Result<()> {
        let is_over = error.kind() == Kind::Disk;
        self.failed.push((host, error));
        if is_over { Err(self.over()) } else { Ok(()) }
    }

    fn over(&mut self) -> crate::Error {
        crate::Error::Pull {
            reference: self.reference.clone(),
            source: Box::new(Error::of_all(std::mem::take(&mut self.failed))),
        }
    }
}

impl Pull {
    async fn run(&self) -> Result<Digest, Error> {
        let depot = Arc::clone(&self.depot);
        let _making = blocking(move || depot.disk.lock_making()).await?;
        let resolved = self.resolved().await?;
        let record = match self.known(&resolved)? {
            Some(record) => record,
            None => self.fetch(&resolved).await?,
        };
        self.keep(record, &resolved).await
    }

    async fn resolved(&self) -> Result<Digest, Error> {
        self.resolve().await.map_err(|source| Error::Resolve {
            reference: self.reference.to_string(),
            source: Box::new(source),
        })
    }

    async fn save(&self) -> Result<Saved, Error> {
        let resolved = self.resolved().await?;
        let (digest, manifest) = self.manifest(&resolved, &mut BTreeSet::new()).await?;
        download::blob(&self.depot, &self.session, &manifest.config, &|_| {}).await?;
        let layers: Vec<&Descriptor> = manifest.layers.iter().collect();
        for (_, download) in self.download(&layers) {
            joined(download).await?;
        }
        let parts = layers.into_iter().chain([&manifest.config]);
        let parts = parts.map(|part| part.digest.clone());
        Ok(Saved {
            name: self.reference.to_string(),
            blobs: parts.chain([digest.clone()]).collect(),
            manifest: digest,
        })
    }

    /// The digest that the name means now.
    async fn resolve(&self) -> Result<Digest, Error> {
        let wanted = self.reference.wanted();
        let answer = self.session.manifest(Method::HEAD, wanted).await;
        let (uri, response) = match answer {
            // Some registries know no HEAD.
            Err(Error::Status {
                status: StatusCode::METHOD_NOT_ALLOWED,
                ..
            }) => self.session.manifest(Method::GET, wanted).await?,
            Err(Error::NotFound { .. }) => {
                return Err(Error::NotFound {
                    what: self.reference.to_string(),
                });
            }
            other => other?,
        };
        if let Some(digest) = self.reference.digest() {
            return Ok(digest.clone());
        }
        let told = response
            .headers()
            .get(DIGEST_HEADER)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        if let Some(digest) = told {
            return Ok(digest);
        }
        let (_, response) = self.session.manifest(Method::GET, wanted).await?;
        let bytes = transport::read(&uri, response, limits::MANIFEST).await?;
        Ok(Digest::of(&bytes))
    }

    /// The image, when all of it is here already.
    fn known(&self, resolved: &Digest) -> Result<Option<Record>, Error> {
        let images = self.depot.index.images()?;
        let is_it = |record: &Record| {
            record.documents.contains(resolved) && images.iter().any(|image| image.id == record.id)
        };
        Ok(self.depot.index.read()?.images.into_iter().find(is_it))
    }

    async fn fetch(&self, resolved: &Digest) -> Result<Record, Error> {
        let mut documents = BTreeSet::new();
        let (_, manifest) = self.manifest(resolved, &mut documents).await?;
        download::blob(&self.depot, &self.session, &manifest.config, &|_| {}).await?;
        let what = "the image's configuration";
        let config = self
            .depot
            .blobs
            .read(&manifest.config.digest, limits::CONFIG, what)?;
        let diff_ids = manifest::diff_ids(&manifest::parse_config(&config)?)?;
        manifest.check_layers(diff_ids.len())?;
        Ok(Record {
            id: manifest.config.digest.clone(),
            names: BTreeSet::new(),
            repo_digests: BTreeSet::new(),
            documents,
            size: manifest.size(),
            pinned: false,
            layers: self
                .layers(&manifest, &layers::positions(&diff_ids))
                .await?,
        })
    }

    /// The manifest for this machine, through the indexes above it.
    async fn manifest(
        &self,
        digest: &Digest,
        documents: &mut BTreeSet<Digest>,
    ) -> Result<(Digest, Manifest), Error> {
        let mut digest = digest.clone();
        for _ in 0..limits::INDEX_DEPTH {
            let (uri, response) = self.session.manifest(Method::GET, digest.as_str()).await?;
            let bytes = transport::read(&uri, response, limits::MANIFEST).await?;
            content::check(&digest, Digest::of(&bytes))?;
            self.depot.blobs.write(&digest, &bytes)?;
            documents.insert(digest.clone());
            match manifest::parse(&bytes)? {
                Document::Manifest(manifest) => return Ok((digest, manifest)),
                Document::Index(index) => digest = index.choose()?.digest.clone(),
            }
        }
        Err(crate::Error::TooLarge {
            what: "the depth of indexes",
            limit: limits::INDEX_DEPTH as u64,
        }
        .into())
    }

    /// Fetches all at once, and unpacks from the bottom up while more comes in.
    async fn layers(
        &self,
        manifest: &Manifest,
        positions: &[Position],
    ) -> Result<Vec<String>, Error> {
        let missing: Vec<&Descriptor> = manifest
            .layers
            .iter()
            .zip(positions)
            .filter(|(_, position)| self.depot.layers.find(position).is_none())
            .map(|(layer, _)| layer)
            .collect();
        let mut downloads = self.download(&missing);
        let mut names: Vec<String> = Vec::new();
        for (layer, position) in manifest.layers.iter().zip(positions) {
            if let Some(download) = downloads.remove(&layer.digest) {
                joined(download).await?;
            }
            names.push(self.unpack(&layer.digest, position, &names).await?);
        }
        for layer in missing {
            self.depot.blobs.remove(&layer.digest)?;
        }
        Ok(names)
    }

    fn download(&self, missing: &[&Descriptor]) -> Downloads {
        let on_bytes = self.on_bytes(missing.iter().map(|layer| layer.size).sum());
        let slots = Arc::new(Semaphore::new(PARALLEL));
        let mut downloads = Downloads::new();
        for &layer in missing {
            let start = || {
                let (depot, session) = (Arc::clone(&self.depot), Arc::clone(&self.session));
                let (slots, layer, on_bytes) =
                    (Arc::clone(&slots), layer.clone(), Arc::clone(&on_bytes));
                AbortOnDropHandle::new(tokio::spawn(async move {
                    let _slot = slots
                        .acquire_owned()
                        .await
                        .expect("nobody closes the semaphore");
                    download::blob(&depot, &session, &layer, &*on_bytes).await
                }))
            };
            downloads.entry(layer.digest.clone()).or_insert_with(start);
        }
        downloads
    }

    fn on_bytes(&self, total: u64) -> Arc<dyn Fn(u64) + Send + Sync> {
        let (done, progress) = (AtomicU64::new(0), self.progress.clone());
        Arc::new(move |count| {
            let done = done.fetch_add(count, Ordering::Relaxed) + count;
            if let Some(progress) = &progress {
                progress(Progress {
                    done: done.min(total),
                    total,
                });
            }
        })
    }

    async fn unpack(
        &self,
        blob: &Digest,
        position: &Position,
        below: &[String],
    ) -> Result<String, Error> {
        if let Some(name) = self.depot.layers.find(position) {
            return Ok(name);
        }
        let (depot, blob) = (Arc::clone(&self.depot), blob.clone());
        let (position, below) = (position.clone(), below.to_vec());
        let make = move || {
            depot
                .layers
                .make(&position, depot.blobs.open(&blob)?, &below)
        };
        Ok(blocking(make).await?)
    }

    async fn keep(&self, mut record: Record, resolved: &Digest) -> Result<Digest, Error> {
        // A digest beside the tag decides; what the tag means now is not known.
        if self.reference.digest().is_none() {
            record.names.extend(self.reference.tagged_name());
        }
        record
            .repo_digests
            .insert(self.reference.repo_digest(resolved));
        let (depot, id) = (Arc::clone(&self.depot), record.id.clone());
        blocking(move || depot.keep(vec![record])).await?;
        Ok(id)
    }
}

//! Images that nobody uses any more, removed when the disk fills up.
//!
//! Every five minutes, by Kubernetes' rules: when the images' file system is fuller than the high
//! threshold, unused images go, the one that was used longest ago first, until it is below the low
//! one. Images of containers, pinned ones and those that have only just come stay. Use is
//! remembered while the agent runs; one that starts anew counts from there.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use events::Level;
use images::Images;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use crate::config::Config;
use crate::node::machine::{self, Room};
use crate::node::telling::NodeEvents;

mod policy;

use policy::{Found, Seen};

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(300);

/// Kubernetes' flags of image garbage collection.
#[derive(Clone, Copy, Debug)]
pub struct ImageGc {
    /// Percent of the disk in use from which images go; 100 is never.
    pub high_threshold: u8,
    /// Percent that it is brought down to.
    pub low_threshold: u8,
    /// How long an image stays after it was first seen, whatever happens.
    pub minimum_age: Duration,
    /// How long one that is not used stays; zero is for ever.
    pub maximum_age: Duration,
}

impl ImageGc {
    /// # Errors
    /// The thresholds are no percentages, or the wrong way round.
    pub fn check(&self) -> Result<(), String> {
        let (high, low) = (self.high_threshold, self.low_threshold);
        if high > 100 || low > 100 {
            return Err("--image-gc-high-threshold and --image-gc-low-threshold are percentages, at most 100".to_owned());
        }
        if low >= high {
            return Err(format!(
                "--image-gc-low-threshold {low} is not below --image-gc-high-threshold {high}"
            ));
        }
        let (least, most) = (self.minimum_age, self.maximum_age);
        if !most.is_zero() && most <= least {
            return Err(
                "--image-maximum-gc-age is not above --minimum-image-ttl-duration".to_owned(),
            );
        }
        Ok(())
    }

    fn is_off(&self) -> bool {
        self.high_threshold >= 100 && self.maximum_age.is_zero()
    }
}

/// The images, as far as their removal is concerned.
trait Shelf: Send + Sync {
    fn look(&self) -> impl Future<Output = images::Result<Vec<Found>>> + Send;
    fn remove(&self, id: &str) -> impl Future<Output = images::Result<()>> + Send;
    fn room(&self) -> Option<Room>;
}

struct Store {
    images: Images,
    dir: PathBuf,
}

impl Shelf for Store {
    async fn look(&self) -> images::Result<Vec<Found>> {
        let (all, held) = (self.images.list().await?, self.images.held().await?);
        let found = |image: &Arc<images::Image>| Found {
            id: image.id.to_string(),
            is_used: held.contains(&image.id),
            is_pinned: image.is_pinned,
        };
        Ok(all.iter().map(found).collect())
    }

    async fn remove(&self, id: &str) -> images::Result<()> {
        self.images.remove(id).await.map(drop)
    }

    fn room(&self) -> Option<Room> {
        machine::room(&self.dir)
    }
}

/// Removes images that nobody uses; cheap to clone.
#[derive(Clone)]
pub struct ImageGarbage(Arc<Collector<Store>>);

impl ImageGarbage {
    pub fn new(config: &Config, images: Images, events: NodeEvents) -> Self {
        let dir = config.images_dir.clone();
        Self(Arc::new(Collector {
            flags: config.image_gc,
            shelf: Store { images, dir },
            events,
            seen: Mutex::default(),
            begun: Instant::now(),
        }))
    }

    /// Goes on for ever.
    pub async fn run(&self) {
        self.0.run().await;
    }

    /// Notes that the image is being used.
    pub async fn used(&self, id: &str) {
        let mut seen = self.0.seen.lock().await;
        let now = Instant::now();
        seen.entry(id.to_owned()).or_insert(Seen::new(now)).used = Some(now);
    }

    /// Removes all that are not used: the node is short of disk.
    pub async fn remove_unused(&self) {
        if let Err(e) = self.0.free(|_| false).await {
            tracing::warn!("remove unused images: {}", e.chain());
        }
        // What had to be left when an image went, for another was being pulled.
        if let Err(e) = self.0.shelf.images.sweep().await {
            tracing::warn!("remove layers that no image needs: {}", e.chain());
        }
    }
}

struct Collector<S> {
    flags: ImageGc,
    shelf: S,
    events: NodeEvents,
    seen: Mutex<HashMap<String, Seen>>,
    begun: Instant,
}

impl<S: Shelf> Collector<S> {
    async fn run(&self) {
        if self.flags.is_off() {
            return std::future::pending().await;
        }
        let mut has_failed = false;
        loop {
            let collected = self.collect().await;
            match &collected {
                // The first time may be chance.
                Err(why) if has_failed => {
                    self.events
                        .tell(Level::Warning, "ImageGCFailed", why.clone());
                }
                Err(why) => tracing::warn!("remove unused images: {why}"),
                Ok(()) => {}
            }
            has_failed = collected.is_err();
            sleep(PERIOD).await;
        }
    }

    /// The text is why there is not as much room as there should be.
    async fn collect(&self) -> Result<(), String> {
        let failed = |e: images::Error| e.chain();
        self.remove_old().await.map_err(failed)?;
        let room = self.shelf.room().filter(|room| room.bytes > 0);
        let Some(room) = room else {
            let why = "invalid capacity 0 on image filesystem".to_owned();
            self.events
                .tell(Level::Warning, "InvalidDiskCapacity", why.clone());
            return Err(why);
        };
        let Some(wanted) = policy::to_free(&self.flags, room) else {
            self.note().await.map_err(failed)?;
            return Ok(());
        };
        let goal = room.bytes_free.saturating_add(wanted);
        tracing::info!(
            "the images' disk is fuller than {} %: remove {wanted} bytes",
            self.flags.high_threshold
        );
        self.free(|room| room.bytes_free >= goal)
            .await
            .map_err(failed)?;
        let free = self.shelf.room().map_or(0, |room| room.bytes_free);
        if free >= goal {
            return Ok(());
        }
        let freed = free.saturating_sub(room.bytes_free);
        let why = format!(
            "Failed to garbage collect required amount of images. Attempted to free {wanted} bytes, but only found {freed} bytes eligible to free."
        );
        self.events
            .tell(Level::Warning, "FreeDiskSpaceFailed", why.clone());
        Err(why)
    }

    /// Removes images that may go, one after another, until there is enough room.
    async fn free(&self, is_enough: impl Fn(Room) -> bool) -> images::Result<()> {
        let now = Instant::now();
        let found = self.note().await?;
        let order = {
            let seen = self.seen.lock().await;
            policy::removable(&self.flags, &found, &seen, now)
        };
        for id in order {
            if self.shelf.room().is_some_and(&is_enough) {
                break;
            }
            self.remove(&id).await?;
        }
        Ok(())
    }

    async fn remove_old(&self) -> images::Result<()> {
        let found = self.note().await?;
        let old = {
            let seen = self.seen.lock().await;
            policy::too_old(&self.flags, &found, &seen, self.begun, Instant::now())
        };
        for id in old {
            self.remove(&id).await?;
        }
        Ok(())
    }

    async fn remove(&self, id: &str) -> images::Result<()> {
        tracing::info!(image = id, "remove an image that is not used");
        match self.shelf.remove(id).await {
            // Somebody else was quicker.
            Err(e) if e.kind() == images::Kind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// Looks at what there is, and remembers when it was first seen and last used.
    async fn note(&self) -> images::Result<Vec<Found>> {
        let found = self.shelf.look().await?;
        let (mut seen, now) = (self.seen.lock().await, Instant::now());
        for image in &found {
            let entry = seen.entry(image.id.clone()).or_insert(Seen::new(now));
            if image.is_used {
                entry.used = Some(now);
            }
        }
        let there: HashSet<&String> = found.iter().map(|image| &image.id).collect();
        seen.retain(|id, _| there.contains(id));
        Ok(found)
    }
}

#[cfg(test)]
mod tests;

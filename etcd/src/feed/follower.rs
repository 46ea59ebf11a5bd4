//! A watcher's end. What it is told of progress is not behind what this server
//! was told of its own writes, though those come back by way of etcd.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use store::{Error, Revision, Signal, Source, Watch};
use tokio::sync::futures::OwnedNotified;

use super::Feed;

#[derive(Debug)]
pub struct Follower {
    watch: Watch,
    feed: Arc<Feed>,
    /// Progress is to be told once it is as far as this.
    wanted: Option<Revision>,
    /// The step of the hub that is waited for. Kept here, for a wait that is
    /// dropped must still wake who began it.
    step: Option<Pin<Box<OwnedNotified>>>,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed")
            .field("published", &self.published())
            .finish_non_exhaustive()
    }
}

impl Follower {
    pub fn new(watch: Watch, feed: Arc<Feed>) -> Self {
        Self {
            watch,
            feed,
            wanted: None,
            step: None,
        }
    }
}

#[async_trait]
impl Source for Follower {
    async fn next(&mut self) -> Option<Result<Signal, Error>> {
        let Some(wanted) = self.wanted else {
            return self.watch.next().await;
        };
        loop {
            if let Some(step) = &mut self.step {
                step.await;
            }
            self.step = None;
            let mut step = Box::pin(self.feed.published.clone().notified_owned());
            // From here on no step is missed.
            step.as_mut().enable();
            self.watch.request_progress();
            match self.watch.next().await? {
                Ok(Signal::Progress(at)) if at < wanted => {}
                Ok(Signal::Progress(at)) => {
                    self.wanted = None;
                    return Some(Ok(Signal::Progress(at)));
                }
                signal => return Some(signal),
            }
            self.step = Some(step);
        }
    }

    fn request_progress(&mut self) {
        self.wanted = Some(Revision(self.feed.made.load(Ordering::Acquire)));
    }
}

//! A watcher's end: what it reads, whichever backend feeds it.

mod hub;
mod subscription;

use std::sync::Arc;

use async_trait::async_trait;

pub use self::hub::Hub;
pub(crate) use self::subscription::Subscription;
use crate::{Change, Error, Revision};

/// What a watcher reads next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    Change(Arc<Change>),
    /// Every change up to here was delivered. Comes once after each
    /// [`Watch::request_progress`].
    Progress(Revision),
}

/// The changes under one prefix, in order; dropping it ends the watch.
#[derive(Debug)]
pub struct Watch(Feed);

#[derive(Debug)]
enum Feed {
    /// The embedded log's own, without a box around each signal.
    Hub(Subscription),
    Other(Box<dyn Source>),
}

/// Where the watches of another backend come from.
#[async_trait]
pub trait Source: std::fmt::Debug + Send {
    /// What [`Watch::next`] promises.
    async fn next(&mut self) -> Option<Result<Signal, Error>>;

    /// What [`Watch::request_progress`] promises.
    fn request_progress(&mut self);
}

impl Watch {
    pub fn new(source: impl Source + 'static) -> Self {
        Self(Feed::Other(Box::new(source)))
    }

    /// Waits for the next signal. `None` means that the store was closed.
    /// Cancel-safe: a dropped call loses nothing.
    ///
    /// # Errors
    /// [`Error::Slow`] or [`Error::Compacted`], once, after the last change that
    /// was kept; then `None`.
    pub async fn next(&mut self) -> Option<Result<Signal, Error>> {
        match &mut self.0 {
            Feed::Hub(subscription) => subscription.next().await,
            Feed::Other(source) => source.next().await,
        }
    }

    /// Asks for a [`Signal::Progress`] as soon as the watcher has caught up. A
    /// writer pays nothing for it.
    pub fn request_progress(&mut self) {
        match &mut self.0 {
            Feed::Hub(subscription) => subscription.request_progress(),
            Feed::Other(source) => source.request_progress(),
        }
    }
}

impl From<Subscription> for Watch {
    fn from(subscription: Subscription) -> Self {
        Self(Feed::Hub(subscription))
    }
}

#[cfg(test)]
mod tests;

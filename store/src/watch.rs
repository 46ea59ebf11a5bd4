//! A watcher's end: history first, then changes as they are made.

use std::sync::Arc;

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
pub struct Watch(());

impl Watch {
    /// Waits for the next signal. `None` means that the store was closed.
    /// Cancel-safe: a dropped call loses nothing.
    ///
    /// # Errors
    /// [`Error::Slow`], once, after the last change that was kept; then `None`.
    pub async fn next(&mut self) -> Option<Result<Signal, Error>> {
        todo!()
    }

    /// Asks for a [`Signal::Progress`] as soon as the watcher has caught up. A
    /// writer pays nothing for it.
    pub fn request_progress(&mut self) {
        todo!()
    }
}

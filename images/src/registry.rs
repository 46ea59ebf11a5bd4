//! Fetching from OCI distribution registries.

mod auth;
mod download;
mod error;
mod pull;
mod registries;
mod save;
mod session;
mod transport;

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

pub use error::{Cause, Error};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
pub use registries::{Problem, Registries};
use tokio_util::task::AbortOnDropHandle;
use transport::Transport;

use crate::{Credentials, Digest, Reference, Result, depot::Depot};

/// Told how far a pull is.
pub type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;

/// Bytes of layers fetched, of those that had to be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub done: u64,
    pub total: u64,
}

/// One pull's wishes.
#[derive(Clone, Default)]
pub struct PullOptions {
    pub credentials: Option<Credentials>,
    /// Of a pull that joins one under way, nothing is told.
    pub progress: Option<OnProgress>,
}

/// A pull under way, and its outcome for all who wait for it.
type Outcome = BoxFuture<'static, Result<Digest, Arc<crate::Error>>>;
type Flight = Shared<Outcome>;
type Key = (Reference, Option<Credentials>);

/// Fetches images into a depot.
pub struct Puller {
    depot: Arc<Depot>,
    transport: Arc<Transport>,
    flights: Mutex<HashMap<Key, WeakShared<Outcome>>>,
}

impl Puller {
    pub fn new(depot: Arc<Depot>, registries: Registries) -> Self {
        Self {
            depot,
            transport: Arc::new(Transport::new(registries)),
            flights: Mutex::default(),
        }
    }

    /// Pulls, or waits for the same pull that somebody else began. It is given up when nobody waits any more.
    pub async fn pull(&self, reference: &Reference, options: PullOptions) -> Result<Digest> {
        let key = (reference.clone(), options.credentials.clone());
        let outcome = self.join(&key, options).await;
        self.forget(&key);
        outcome.map_err(|error| crate::Error::Shared {
            message: error.chain(),
            kind: error.kind(),
        })
    }

    /// Fetches images into an archive, and keeps nothing of them here.
    pub async fn save(&self, images: &[Reference], to: &Path) -> Result<()> {
        save::run(&self.transport, images, to).await
    }

    fn join(&self, key: &Key, options: PullOptions) -> Flight {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(key).and_then(WeakShared::upgrade) {
            return flight;
        }
        let pull = pull::run(
            Arc::clone(&self.depot),
            Arc::clone(&self.transport),
            key.0.clone(),
            options,
        );
        let task = AbortOnDropHandle::new(tokio::spawn(pull));
        let flight = async move {
            match task.await {
                Ok(outcome) => outcome.map_err(Arc::new),
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // Only a runtime that is shutting down cancels it.
                    Err(_) => std::future::pending().await,
                },
            }
        };
        let flight = flight.boxed().shared();
        flights.extend(flight.downgrade().map(|weak| (key.clone(), weak)));
        flight
    }

    fn forget(&self, key: &Key) {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over =
            |weak: &WeakShared<_>| weak.upgrade().is_none_or(|flight| flight.peek().is_some());
        if flights.get(key).is_some_and(is_over) {
            flights.remove(key);
        }
    }
}

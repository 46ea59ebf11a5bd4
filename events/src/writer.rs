//! The one task that writes events.

use std::time::Duration;

use k8s_openapi::api::core::v1::Event;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::correlate::{Correlation, Placed};
use crate::pace::Pace;
use crate::{Occurrence, event};

/// While the API server cannot be reached, the oldest event waits so long for
/// its next try, and is dropped after so many.
const RETRY: Duration = Duration::from_secs(10);
const TRIES: usize = 12;

pub struct Writer {
    client: Client,
    correlation: Correlation,
    pace: Pace,
}

impl Writer {
    pub fn new(client: Client) -> Self {
        Self {
            client,
            correlation: Correlation::new(),
            pace: Pace::new(Instant::now()),
        }
    }

    pub async fn run(mut self, mut waiting: mpsc::Receiver<Occurrence>) {
        while let Some(occurrence) = waiting.recv().await {
            let Some(placed) = self.correlation.place(&occurrence) else {
                continue;
            };
            tokio::time::sleep_until(self.pace.next(Instant::now())).await;
            if let Err(error) = self.write(&occurrence, &placed).await {
                let error = &error as &dyn std::error::Error;
                let reason = &*occurrence.told.reason;
                tracing::debug!(reason, error, "event not recorded");
            }
        }
    }

    async fn write(&self, occurrence: &Occurrence, placed: &Placed) -> Result<(), kube::Error> {
        for _ in 1..TRIES {
            match self.try_write(occurrence, placed).await {
                Err(error) if is_unreachable(&error) => tokio::time::sleep(RETRY).await,
                done => return done,
            }
        }
        self.try_write(occurrence, placed).await
    }

    async fn try_write(&self, occurrence: &Occurrence, placed: &Placed) -> Result<(), kube::Error> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), event::namespace(occurrence));
        if placed.count > 1 {
            let patch = Patch::Merge(event::again(occurrence, placed));
            let params = PatchParams::default();
            match api.patch(&placed.name, &params, &patch).await {
                // It has expired meanwhile, or was never written.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                patched => return patched.map(drop),
            }
        }
        let event = event::new(occurrence, placed);
        api.create(&PostParams::default(), &event).await.map(drop)
    }
}

/// Whether nobody has answered.
fn is_unreachable(error: &kube::Error) -> bool {
    matches!(error, kube::Error::HyperError(_) | kube::Error::Service(_))
}

#[cfg(test)]
mod tests;

//! What every controller is, and the workers that run it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::key::Key;
use crate::queue::Queue;

/// When a key is worth another look although nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    WhenChanged,
    After(Duration),
}

pub trait Controller: Send + Sync + 'static {
    const NAME: &'static str;

    /// Makes what is under `key` what it should be.
    fn reconcile(&self, key: &Key) -> impl Future<Output = Result<Next, Error>> + Send;
}

/// Starts `workers` tasks that reconcile what comes through `queue`.
pub fn start<C: Controller>(
    tasks: &mut JoinSet<()>,
    controller: C,
    queue: Arc<Queue>,
    workers: usize,
    shutdown: &CancellationToken,
) {
    let controller = Arc::new(controller);
    for _ in 0..workers {
        let (controller, queue) = (controller.clone(), queue.clone());
        let shutdown = shutdown.clone();
        tasks.spawn(async move {
            shutdown
                .run_until_cancelled(work(&*controller, &queue))
                .await;
        });
    }
}

async fn work<C: Controller>(controller: &C, queue: &Queue) {
    loop {
        let key = queue.take().await;
        match controller.reconcile(&key).await {
            Ok(next) => {
                queue.done(&key);
                if let Next::After(wait) = next {
                    queue.add_after(key, wait);
                }
            }
            Err(error) => {
                if !error.is_expected() {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(controller = C::NAME, %key, error, "reconcile failed");
                }
                queue.failed(&key);
            }
        }
    }
}

//! What every controller is, and the workers that run it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use kube::Resource;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::informer::{Informer, Object};
use crate::key::Key;
use crate::queue::Queue;

/// When a key is worth another look although nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    WhenChanged,
    After(Duration),
}

/// A reconcile shorter than this calls for no rest.
const SHORT: Duration = Duration::from_millis(5);
const LONGEST_REST: Duration = Duration::from_secs(1);

pub trait Controller: Send + Sync + 'static {
    const NAME: &'static str;
    /// How long a key that took long is left alone afterwards, in times of
    /// what it took. What sums up many objects (a thousand endpoints) is not
    /// to be written anew for each of them.
    const REST: u32 = 0;

    /// Waits until the informers that `reconcile` reads have listed their kinds.
    /// Acting on half a list would make again what is there already.
    fn informed(&self) -> impl Future<Output = ()> + Send;

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
    queue.name(C::NAME);
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

/// Puts the key of every object that changes into `queue`.
pub fn notice<K: Object>(informer: &Informer<K>, queue: &Arc<Queue>) {
    let queue = queue.clone();
    informer.on_change(move |old, new| {
        if let Some(object) = new.or(old) {
            queue.add(Key::of(object));
        }
    });
}

/// The key of the namespace that an object is in.
pub fn namespace_of<K: Resource>(object: &K) -> Key {
    Key::new("", object.meta().namespace.as_deref().unwrap_or_default())
}

/// The answer to a create; none where somebody else was faster.
pub fn unless_there<K>(made: Result<K, kube::Error>) -> Result<Option<K>, kube::Error> {
    match made {
        Ok(object) => Ok(Some(object)),
        Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => Ok(None),
        Err(error) => Err(error),
    }
}

fn rest(took: Duration, times: u32) -> Duration {
    if took < SHORT {
        return Duration::ZERO;
    }
    (took * times).min(LONGEST_REST)
}

async fn work<C: Controller>(controller: &C, queue: &Queue) {
    controller.informed().await;
    loop {
        let key = queue.take().await;
        let start = Instant::now();
        let reconciled = controller.reconcile(&key).await;
        queue.worked(start.elapsed());
        match reconciled {
            Ok(next) => {
                queue.done(&key, rest(start.elapsed(), C::REST));
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use tokio::sync::Notify;

    #[derive(Default)]
    struct Slow {
        informed: Notify,
        began: Arc<Mutex<Vec<Instant>>>,
    }

    impl Controller for Slow {
        const NAME: &'static str = "slow";
        const REST: u32 = 3;

        async fn informed(&self) {
            self.informed.notified().await;
        }

        async fn reconcile(&self, _: &Key) -> Result<Next, Error> {
            self.began.lock().unwrap().push(Instant::now());
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok(Next::WhenChanged)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_reconciled_before_everything_is_known() {
        let (controller, queue) = (Slow::default(), Queue::new());
        queue.add(Key::new("d", "a"));
        let second = Duration::from_secs(1);
        let _ = tokio::time::timeout(second, work(&controller, &queue)).await;
        assert!(controller.began.lock().unwrap().is_empty());
        controller.informed.notify_one();
        let _ = tokio::time::timeout(second, work(&controller, &queue)).await;
        assert_eq!(controller.began.lock().unwrap().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn key_that_took_long_rests_for_a_multiple_of_it() {
        let (controller, queue) = (Slow::default(), Queue::new());
        controller.informed.notify_one();
        queue.add(Key::new("d", "a"));
        let changes = async {
            loop {
                tokio::time::sleep(Duration::from_millis(10)).await;
                queue.add(Key::new("d", "a"));
            }
        };
        let working = async { tokio::join!(work(&controller, &queue), changes) };
        let _ = tokio::time::timeout(Duration::from_secs(2), working).await;
        let began = controller.began.lock().unwrap().clone();
        let gaps: Vec<u128> = began
            .windows(2)
            .map(|w| (w[1] - w[0]).as_millis())
            .collect();
        assert!(
            gaps.len() >= 3 && gaps.iter().all(|gap| (400..=410).contains(gap)),
            "{gaps:?}"
        );
    }
}

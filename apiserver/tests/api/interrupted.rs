//! A store in which something happens just after a key was read.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::future::BoxFuture;
use store::{Entry, Error, Expect, Log, Page, Range, Revision, Store, Value, Watch};

pub struct Interrupted {
    log: Arc<Log>,
    next: Mutex<Option<(Vec<u8>, BoxFuture<'static, ()>)>>,
}

impl Interrupted {
    pub fn new(log: Arc<Log>) -> Self {
        let next = Mutex::default();
        Self { log, next }
    }

    /// Does `what` once, before the next reader of `key` learns what it was.
    pub fn after_read(&self, key: &str, what: impl Future<Output = ()> + Send + 'static) {
        let next = (key.as_bytes().to_vec(), Box::pin(what) as BoxFuture<_>);
        *self.next.lock().unwrap() = Some(next);
    }

    /// Whether all that was to be done was done.
    pub fn is_done(&self) -> bool {
        self.next.lock().unwrap().is_none()
    }
}

#[async_trait]
impl Store for Interrupted {
    fn revision(&self) -> Revision {
        self.log.revision()
    }

    async fn newest(&self) -> Result<Revision, Error> {
        self.log.newest().await
    }

    fn oldest(&self) -> Revision {
        self.log.oldest()
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Entry>, Error> {
        let found = self.log.get(key).await;
        let due = self.next.lock().unwrap().take_if(|(of, _)| of == key);
        if let Some((_, what)) = due {
            what.await;
        }
        found
    }

    async fn range(&self, range: Range) -> Result<Page, Error> {
        self.log.range(range).await
    }

    async fn count(&self, prefix: &[u8]) -> Result<u64, Error> {
        self.log.count(prefix).await
    }

    async fn put(&self, key: &[u8], value: Value, expect: Expect) -> Result<Entry, Error> {
        self.log.put(key, value, expect).await
    }

    async fn delete(&self, key: &[u8], expect: Expect) -> Result<(Entry, Revision), Error> {
        self.log.delete(key, expect).await
    }

    async fn watch(&self, prefix: &[u8], from: Revision) -> Result<Watch, Error> {
        self.log.watch(prefix, from).await
    }

    async fn compact(&self, before: Revision) -> Result<(), Error> {
        self.log.compact(before).await
    }
}

//! Moving a whole store into an etcd that holds none, and away again.
//!
//! Entries keep their revisions, and the store goes on behind the last one it had
//! ([`crate::origin`]): no client sees a revision go back. What clients knew from
//! before the move counts as compacted, so they list again.
//!
//! The source is only read. What is there counts for nothing until the last step,
//! which comes after all of it was read back and compared; a move that was cut
//! short is begun anew by the next. Of two at once the later one wins: each write
//! of the first then fails.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Compare, CompareOp, DeleteOptions, GetOptions, Txn, TxnOp, TxnResponse};
use store::backup::Summary;
use store::{Entry, Error, Range, Revision, Store};
use tokio::time::{Instant, sleep};

use crate::config::Config;
use crate::etcd::Etcd;
use crate::failure::{Failure, Fate, Refusal};
use crate::origin::{Note, Noted, Origin};
use crate::root::Root;
use crate::servers::Servers;
use crate::value;

/// Entries read at a time.
const PAGE: usize = 500;
/// What goes into one transaction: etcd takes 128 operations and 1.5 MiB unless
/// it is told otherwise.
const BATCH: usize = 100;
const BATCH_BYTES: usize = 1 << 20;
/// How long one step may fail before the move is given up.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);

/// Why a store is not moved.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(
        "there is a store already: nothing was changed; choose another --datastore-prefix, or \
         remove it with `etcdctl del --prefix {prefix}` and `etcdctl del {key}`"
    )]
    Taken { prefix: String, key: String },
    #[error("another move into the same place has begun since")]
    Overtaken,
    #[error("{key} of {size} bytes is more than etcd takes: raise its --max-request-bytes")]
    TooLarge { key: String, size: usize },
    #[error("what was read back differs: {0}")]
    Differs(Difference),
}

/// The first difference of two stores.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    #[error("{key} is missing")]
    Missing { key: String },
    #[error("{key} is there and should not be")]
    Surplus { key: String },
    #[error("{key} has another value or revision")]
    Changed { key: String },
}

/// Makes the etcd hold what `source` does, which nobody may write to meanwhile.
///
/// # Errors
/// [`Error::Datastore`] if there is a store already, if an entry is more than etcd
/// takes, or if what was written is not what was read.
pub async fn fill(config: &Config, source: &dyn Store) -> Result<Summary, Error> {
    let servers = Arc::new(Servers::new(config).await?);
    let root = Root::new(&config.prefix);
    let mut filling = Filling {
        at: 0,
        etcd: Etcd::over(config, servers.clone(), root.clone()),
        servers,
        root,
    };
    let was = filling.claim().await?;
    filling.make_empty(was).await?;
    let summary = filling.copy(source).await?;
    if let Some(difference) = difference(source, &filling.etcd).await? {
        return Err(filling.refused(Refused::Differs(difference)));
    }
    let revision = filling.finish(summary.revision).await?;
    Ok(Summary {
        revision,
        ..summary
    })
}

impl Etcd {
    /// Notes that the store has gone on at `to`: no server begins on it here any
    /// more, and the next [`fill`] may replace it.
    ///
    /// # Errors
    /// [`Error::Datastore`] if it was moved since this began on it.
    pub async fn leave(&self, to: &str) -> Result<(), Error> {
        let key = self.root.origin_key();
        let noted = Noted::read(&self.servers, &self.root).await?;
        let origin = noted.clone().origin(&self.servers, &self.root)?;
        let left = origin.left(to);
        let put = TxnOp::put(key.clone(), left.text(), None);
        let unchanged = Compare::mod_revision(key, CompareOp::Equal, noted.at);
        let txn = Txn::new().when([unchanged]).and_then([put]);
        let answer = persist(&self.servers, &txn).await;
        let answer = answer.map_err(|failure| self.servers.write_error(failure))?;
        if answer.succeeded() {
            return Ok(());
        }
        // That of an attempt whose answer was lost.
        let noted = Noted::read(&self.servers, &self.root).await?;
        if noted.note == Some(left) {
            return Ok(());
        }
        Err(refused(&self.servers, &self.root, Refused::Overtaken))
    }
}

struct Filling {
    servers: Arc<Servers>,
    root: Root,
    /// Reads what was written here.
    etcd: Etcd,
    /// When the note of this move was written, which all its writes expect.
    at: i64,
}

impl Filling {
    /// Makes the place this move's; answers what was noted there before.
    async fn claim(&mut self) -> Result<Option<Note>, Error> {
        let key = self.root.origin_key();
        loop {
            let noted = Noted::read(&self.servers, &self.root).await?;
            if let Some(Note::Whole { .. }) = noted.note {
                return Err(self.taken());
            }
            let unchanged = Compare::mod_revision(key.clone(), CompareOp::Equal, noted.at);
            let put = TxnOp::put(key.clone(), Note::Filling.text(), None);
            let txn = Txn::new().when([unchanged]).and_then([put]);
            let answer = self.persist(&txn).await?;
            if answer.succeeded() {
                self.at = answer.header().map_or(0, |header| header.revision());
                return Ok(noted.note);
            }
            // Somebody else's, or that of an attempt whose answer was lost.
        }
    }

    /// Removes what an earlier move left. Where there was none nothing may be.
    async fn make_empty(&self, was: Option<Note>) -> Result<(), Error> {
        let everything = || {
            self.root
                .under(b"")
                .expect("the root is a prefix of itself")
        };
        if was.is_some() {
            let (first, end) = everything();
            let options = DeleteOptions::new().with_range(end);
            return self.write(vec![TxnOp::delete(first, Some(options))]).await;
        }
        let (first, end) = everything();
        let options = GetOptions::new().with_range(end).with_count_only();
        let answer = self.servers.get(first, options).await;
        let answer = answer.map_err(|failure| self.servers.read_error(failure))?;
        if answer.count() == 0 {
            return Ok(());
        }
        // A store that was never moved: its servers must find it as it was.
        self.write(vec![TxnOp::delete(self.root.origin_key(), None)])
            .await?;
        Err(self.taken())
    }

    async fn copy(&self, source: &dyn Store) -> Result<Summary, Error> {
        let mut walk = Walk::of(source).await?;
        let mut summary = Summary {
            revision: walk.revision,
            keys: 0,
            size: 0,
        };
        let mut batch = Batch::default();
        while let Some(entry) = walk.next().await? {
            summary.keys += 1;
            summary.size += entry.size();
            let key = self.root.key(&entry.key)?;
            let value = value::encode_moved(&entry);
            if !batch.has_room_for(key.len() + value.len()) {
                self.put(std::mem::take(&mut batch)).await?;
            }
            batch.add(key, value);
        }
        self.put(batch).await?;
        Ok(summary)
    }

    async fn put(&self, batch: Batch) -> Result<(), Error> {
        let (key, size) = (batch.last, batch.bytes);
        match self.write(batch.puts).await {
            // What is so large is alone in its batch.
            Err(Error::TooLarge { .. }) => Err(self.refused(Refused::TooLarge { key, size })),
            done => done,
        }
    }

    /// The last step. The store goes on behind `last`, whatever etcd counts.
    async fn finish(&self, last: Revision) -> Result<Revision, Error> {
        // What is written from now on is written later than this.
        let here = self.etcd.read_revision().await?;
        let shift = last.0.saturating_sub(here.0);
        let whole = Note::Whole { shift };
        let key = self.root.origin_key();
        let put = TxnOp::put(key, whole.text(), None);
        let written = self.write(vec![put]).await;
        let noted = Noted::read(&self.servers, &self.root).await?;
        if noted.note == Some(whole) {
            // Also if the answer to the first attempt was lost.
            return Ok(Origin::new(shift, noted.at).begins());
        }
        written?;
        Err(self.refused(Refused::Overtaken))
    }

    /// Writes, as long as the place is this move's.
    async fn write(&self, then: Vec<TxnOp>) -> Result<(), Error> {
        if then.is_empty() {
            return Ok(());
        }
        let key = self.root.origin_key();
        let mine = Compare::mod_revision(key, CompareOp::Equal, self.at);
        let txn = Txn::new().when([mine]).and_then(then);
        if self.persist(&txn).await?.succeeded() {
            return Ok(());
        }
        Err(self.refused(Refused::Overtaken))
    }

    async fn persist(&self, txn: &Txn) -> Result<TxnResponse, Error> {
        let answer = persist(&self.servers, txn).await;
        answer.map_err(|failure| match failure.fate {
            Fate::Refused(Refusal::TooLarge) => Error::TooLarge {
                what: "request",
                size: BATCH_BYTES,
                limit: BATCH_BYTES,
            },
            _ => self.servers.write_error(failure),
        })
    }

    fn taken(&self) -> Error {
        let taken = Refused::Taken {
            prefix: self.root.prefix_text(),
            key: self.root.origin_key_text(),
        };
        self.refused(taken)
    }

    fn refused(&self, source: Refused) -> Error {
        refused(&self.servers, &self.root, source)
    }
}

/// What goes into one transaction.
#[derive(Default)]
struct Batch {
    puts: Vec<TxnOp>,
    bytes: usize,
    last: String,
}

impl Batch {
    fn has_room_for(&self, size: usize) -> bool {
        self.puts.is_empty() || self.puts.len() < BATCH && self.bytes + size <= BATCH_BYTES
    }

    fn add(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.bytes += key.len() + value.len();
        self.last = String::from_utf8_lossy(&key).into_owned();
        self.puts.push(TxnOp::put(key, value, None));
    }
}

fn refused(servers: &Servers, root: &Root, source: Refused) -> Error {
    Error::Datastore {
        what: format!(
            "move a store to or from {} of the datastore at {}",
            root.prefix_text(),
            servers.names()
        ),
        source: Box::new(source),
    }
}

/// A write that may be made twice, until it is known to be made or refused.
async fn persist(servers: &Servers, txn: &Txn) -> Result<TxnResponse, Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match servers.txn(txn.clone()).await {
            Ok(answer) => return Ok(answer),
            Err(failure) if matches!(failure.fate, Fate::Refused(_)) => return Err(failure),
            Err(failure) if Instant::now() >= deadline => return Err(failure),
            Err(failure) => {
                tracing::debug!(error = %failure.source, "write to the datastore again");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Walks through both as they are now; `None` if they hold the same.
///
/// # Errors
/// Those of [`Store::range`].
pub async fn difference(
    wanted: &dyn Store,
    found: &dyn Store,
) -> Result<Option<Difference>, Error> {
    let (mut wanted, mut found) = (Walk::of(wanted).await?, Walk::of(found).await?);
    loop {
        let (one, other) = (wanted.next().await?, found.next().await?);
        if one == other {
            if one.is_none() {
                return Ok(None);
            }
            continue;
        }
        return Ok(Some(Difference::of(one, other)));
    }
}

impl Difference {
    fn of(wanted: Option<Entry>, found: Option<Entry>) -> Self {
        let text = |entry: &Entry| String::from_utf8_lossy(&entry.key).into_owned();
        match (wanted, found) {
            (Some(wanted), Some(found)) if wanted.key == found.key => {
                Self::Changed { key: text(&wanted) }
            }
            (Some(wanted), Some(found)) if wanted.key > found.key => {
                Self::Surplus { key: text(&found) }
            }
            (Some(wanted), _) => Self::Missing { key: text(&wanted) },
            (None, found) => Self::Surplus {
                key: found.as_ref().map(text).unwrap_or_default(),
            },
        }
    }
}

/// All entries of a store at one revision, one after another.
struct Walk<'s> {
    store: &'s dyn Store,
    revision: Revision,
    entries: VecDeque<Entry>,
    more: bool,
}

impl<'s> Walk<'s> {
    async fn of(store: &'s dyn Store) -> Result<Self, Error> {
        let page = store.range(Range::prefix("").limit(PAGE)).await?;
        Ok(Self {
            store,
            revision: page.revision,
            entries: page.entries.into(),
            more: page.more,
        })
    }

    async fn next(&mut self) -> Result<Option<Entry>, Error> {
        let Some(entry) = self.entries.pop_front() else {
            return Ok(None);
        };
        if self.entries.is_empty() && self.more {
            let rest = Range::prefix("").limit(PAGE).after(&entry.key);
            let page = self.store.range(rest.at(self.revision)).await?;
            self.entries = page.entries.into();
            self.more = page.more;
        }
        Ok(Some(entry))
    }
}

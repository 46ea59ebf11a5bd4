//! The members of the etcd cluster: which one is asked, and who is next when
//! it fails.
//!
//! A request is sent again only if that cannot do harm: a read always, a write
//! only when it is known that nothing was done with it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use etcd_client::{
    Channel, Client, CompactionResponse, ConnectOptions, GetOptions, GetResponse, KvClient, Txn,
    TxnResponse, WatchClient,
};
use store::Error;
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::Config;
use crate::failure::{Failure, Fate, Refusal};

/// Pause after all servers failed in a row.
const ROUND_PAUSE: Duration = Duration::from_millis(100);
/// The longest answer that is taken in; a page of a list is made to fit.
const MAX_ANSWER: usize = 64 << 20;

pub struct Servers {
    list: Vec<Server>,
    /// Who is asked: all requests stay with one while it answers.
    current: AtomicUsize,
    timeout: Duration,
    names: String,
}

/// One member. Watches have a connection of their own, so that a long list
/// does not hold them up.
struct Server {
    kv: KvClient,
    watch: WatchClient,
}

impl Servers {
    /// Connects to nobody yet.
    pub async fn new(config: &Config) -> Result<Self, Error> {
        let names = config.endpoints.join(", ");
        let mut list = Vec::new();
        for endpoint in config.connections()? {
            let client = async || {
                let channel = Channel::Tonic(endpoint.connect_lazy());
                let options = ConnectOptions::new().with_require_leader(true);
                let made = Client::from_channel(channel, Some(options)).await;
                made.map_err(|error| unreachable(&names, Failure::from(error)))
            };
            list.push(Server {
                kv: client()
                    .await?
                    .kv_client()
                    .max_decoding_message_size(MAX_ANSWER),
                watch: client()
                    .await?
                    .watch_client()
                    .max_decoding_message_size(MAX_ANSWER),
            });
        }
        Ok(Self {
            list,
            current: AtomicUsize::new(0),
            timeout: config.request_timeout,
            names,
        })
    }

    /// A linearizable read.
    pub async fn get(&self, key: Vec<u8>, options: GetOptions) -> Result<GetResponse, Failure> {
        let mut way = self.way();
        loop {
            let mut kv = self.list[way.at].kv.clone();
            let asked = kv.get(key.clone(), Some(options.clone()));
            match answer(timeout(self.attempt(), asked).await) {
                Ok(answer) => return Ok(answer),
                Err(failure) if is_final(&failure) => return Err(failure),
                Err(failure) => way.next(failure).await?,
            }
        }
    }

    /// A write; see the module about what happens when it fails.
    pub async fn txn(&self, txn: Txn) -> Result<TxnResponse, Failure> {
        let mut way = self.way();
        loop {
            let mut kv = self.list[way.at].kv.clone();
            match answer(timeout_at(way.deadline, kv.txn(txn.clone())).await) {
                Ok(answer) => return Ok(answer),
                Err(failure) if failure.fate == Fate::NotDone => way.next(failure).await?,
                Err(failure) => {
                    if failure.fate == Fate::Unknown {
                        self.leave(way.at);
                    }
                    return Err(failure);
                }
            }
        }
    }

    /// Doing it twice is as good as once.
    pub async fn compact(&self, before: i64) -> Result<Option<CompactionResponse>, Failure> {
        let mut way = self.way();
        loop {
            let mut kv = self.list[way.at].kv.clone();
            match answer(timeout(self.attempt(), kv.compact(before, None)).await) {
                Ok(answer) => return Ok(Some(answer)),
                Err(failure) if failure.fate == Fate::Refused(Refusal::Compacted) => {
                    return Ok(None);
                }
                Err(failure) if is_final(&failure) => return Err(failure),
                Err(failure) => way.next(failure).await?,
            }
        }
    }

    /// Who to watch, `tries` failures after the last watch that went well.
    pub fn watcher(&self, tries: usize) -> WatchClient {
        let at = (self.current.load(Ordering::Relaxed) + tries) % self.list.len();
        self.list[at].watch.clone()
    }

    pub fn names(&self) -> &str {
        &self.names
    }

    /// What a failed read is told as.
    pub fn read_error(&self, failure: Failure) -> Error {
        match failure.fate {
            Fate::Refused(_) => self.refused(failure),
            Fate::NotDone | Fate::Unknown => unreachable(&self.names, failure),
        }
    }

    /// What a failed write is told as.
    pub fn write_error(&self, failure: Failure) -> Error {
        match failure.fate {
            Fate::Refused(_) => self.refused(failure),
            Fate::NotDone => unreachable(&self.names, failure),
            Fate::Unknown => Error::Unanswered {
                endpoints: self.names.clone(),
                source: failure.source,
            },
        }
    }

    fn refused(&self, failure: Failure) -> Error {
        Error::Refused {
            endpoints: self.names.clone(),
            source: failure.source,
        }
    }

    /// A read gets a second chance within its time even if a server hangs.
    fn attempt(&self) -> Duration {
        self.timeout / 2
    }

    fn way(&self) -> Way<'_> {
        Way {
            servers: self,
            at: self.current.load(Ordering::Relaxed),
            tries: 0,
            deadline: Instant::now() + self.timeout,
        }
    }

    /// The next request asks another server than `at`.
    fn leave(&self, at: usize) -> usize {
        let next = (at + 1) % self.list.len();
        let (new, now) = (Ordering::Relaxed, Ordering::Relaxed);
        match self.current.compare_exchange(at, next, new, now) {
            Ok(_) => next,
            // Somebody left it before.
            Err(current) => current,
        }
    }
}

/// One request's way along the servers.
struct Way<'a> {
    servers: &'a Servers,
    at: usize,
    tries: usize,
    deadline: Instant,
}

impl Way<'_> {
    /// Goes on to the next server.
    ///
    /// # Errors
    /// The failure itself when there is no time left.
    async fn next(&mut self, failure: Failure) -> Result<(), Failure> {
        tracing::debug!(error = %failure.source, "ask another server of the datastore");
        self.at = self.servers.leave(self.at);
        self.tries += 1;
        if self.tries.is_multiple_of(self.servers.list.len()) {
            tokio::time::sleep(ROUND_PAUSE).await;
        }
        if Instant::now() >= self.deadline {
            return Err(failure);
        }
        Ok(())
    }
}

fn answer<T>(
    asked: Result<Result<T, etcd_client::Error>, tokio::time::error::Elapsed>,
) -> Result<T, Failure> {
    match asked {
        Ok(answer) => answer.map_err(Failure::from),
        Err(elapsed) => Err(Failure::unknown(elapsed)),
    }
}

fn is_final(failure: &Failure) -> bool {
    matches!(failure.fate, Fate::Refused(_)) || failure.is_answer_too_large()
}

fn unreachable(names: &str, failure: Failure) -> Error {
    Error::Unreachable {
        endpoints: names.to_owned(),
        source: failure.source,
    }
}

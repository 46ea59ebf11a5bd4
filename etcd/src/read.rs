//! Reading keys and pages of keys.

use bytes::Bytes;
use etcd_client::proto::PbKeyValue;
use etcd_client::{GetOptions, GetResponse};
use store::{Entry, Error, Page, Range, Revision};

use crate::etcd::Etcd;
use crate::failure::{Failure, Fate, Refusal};
use crate::origin::Origin;
use crate::root::Root;
use crate::value;

/// What the first page of a long list asks for; the next ones are as many
/// entries as make an answer of about `PAGE_BYTES`.
const FIRST_PAGE: usize = 1000;
const PAGE_BYTES: usize = 16 << 20;
const MAX_PAGE: usize = 10_000;

impl Etcd {
    pub(crate) async fn read_key(&self, key: &[u8]) -> Result<Option<Entry>, Error> {
        let key = self.root.key(key)?;
        let answer = self.servers.get(key, GetOptions::new()).await;
        let answer = answer.map_err(|failure| self.servers.read_error(failure))?;
        self.saw(self.revision_in(answer.header()));
        let found = answer.0.kvs.into_iter().next();
        found.map(|kv| entry(&self.root, kv)).transpose()
    }

    /// The newest revision, without any key.
    pub(crate) async fn read_revision(&self) -> Result<Revision, Error> {
        let key = self.root.key(b"/")?;
        let options = GetOptions::new().with_count_only();
        let answer = self.servers.get(key, options).await;
        let answer = answer.map_err(|failure| self.servers.read_error(failure))?;
        let newest = self.revision_in(answer.header());
        self.saw(newest);
        Ok(newest)
    }

    pub(crate) async fn read_count(&self, prefix: &[u8]) -> Result<u64, Error> {
        let Some((first, end)) = self.root.under(prefix) else {
            return Ok(0);
        };
        let options = GetOptions::new().with_range(end).with_count_only();
        let answer = self.servers.get(first, options).await;
        let answer = answer.map_err(|failure| self.servers.read_error(failure))?;
        self.saw(self.revision_in(answer.header()));
        Ok(unsigned(answer.0.count))
    }

    /// A range in as many answers as it needs, all at one revision.
    pub(crate) async fn read_range(&self, range: Range) -> Result<Page, Error> {
        let wanted = range.limit.unwrap_or(usize::MAX);
        let Some((first, end)) = self.root.under(&range.prefix) else {
            return self.nothing(range.at).await;
        };
        let mut at = range.at;
        let mut from = match &range.after {
            Some(after) => after_key(&self.root, after).max(first),
            None => first,
        };
        let mut entries = Vec::new();
        let mut size = FIRST_PAGE;
        loop {
            let ask = Ask {
                limit: size.min(wanted - entries.len()),
                at,
                end: &end,
            };
            let (answer, fits) = self.read_page(&from, ask).await?;
            let revision = at.unwrap_or_else(|| self.revision_in(answer.header()));
            at = Some(revision);
            let (count, more) = (unsigned(answer.0.count), answer.0.more);
            size = next_size(&answer).min(fits);
            if let Some(last) = answer.0.kvs.last() {
                from = [&last.key[..], b"\0"].concat();
            }
            let got = answer.0.kvs.len();
            entries.reserve(got);
            for kv in answer.0.kvs {
                entries.push(entry(&self.root, kv)?);
            }
            if !more || entries.len() >= wanted {
                return Ok(Page {
                    entries,
                    revision,
                    more,
                    remaining: count.saturating_sub(got as u64),
                });
            }
        }
    }

    /// One answer, made smaller until it is taken in; and how small that was.
    async fn read_page(&self, from: &[u8], ask: Ask<'_>) -> Result<(GetResponse, usize), Error> {
        let mut fits = MAX_PAGE;
        let mut limit = ask.limit;
        loop {
            let options = ask.options(limit, self.root.origin())?;
            match self.servers.get(from.to_vec(), options).await {
                Ok(answer) => {
                    self.saw(self.revision_in(answer.header()));
                    return Ok((answer, fits));
                }
                Err(failure) if failure.is_answer_too_large() && limit > 1 => {
                    limit /= 2;
                    fits = limit;
                }
                Err(failure) => return Err(self.range_error(failure, ask.at)),
            }
        }
    }

    fn range_error(&self, failure: Failure, at: Option<Revision>) -> Error {
        let wanted = at.unwrap_or_default();
        match failure.fate {
            Fate::Refused(Refusal::Compacted) => Error::Compacted {
                wanted,
                oldest: self.feed.oldest().max(wanted.next()),
            },
            Fate::Refused(Refusal::Future) => self.future(wanted),
            _ => self.servers.read_error(failure),
        }
    }

    async fn nothing(&self, at: Option<Revision>) -> Result<Page, Error> {
        let revision = match at {
            Some(at) => at,
            None => self.read_revision().await?,
        };
        Ok(Page {
            entries: Vec::new(),
            revision,
            more: false,
            remaining: 0,
        })
    }
}

/// What is asked of one page.
#[derive(Clone, Copy)]
struct Ask<'a> {
    limit: usize,
    at: Option<Revision>,
    end: &'a [u8],
}

impl Ask<'_> {
    /// # Errors
    /// [`Error::Compacted`] for a revision before the store came here,
    /// [`Error::Future`] for one that etcd cannot even name.
    fn options(&self, limit: usize, origin: Origin) -> Result<GetOptions, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let options = GetOptions::new()
            .with_range(self.end.to_vec())
            .with_limit(limit);
        match self.at {
            None => Ok(options),
            // etcd takes zero for "the newest".
            Some(Revision(0)) => Err(Error::Compacted {
                wanted: Revision(0),
                oldest: Revision(1),
            }),
            Some(at) => Ok(options.with_revision(origin.etcds(at)?)),
        }
    }
}

fn next_size(answer: &GetResponse) -> usize {
    let kvs = &answer.0.kvs;
    let bytes: usize = kvs.iter().map(|kv| kv.key.len() + kv.value.len()).sum();
    let each = (bytes / kvs.len().max(1)).max(1);
    (PAGE_BYTES / each).clamp(1, MAX_PAGE)
}

/// The first key after one that may lie outside of the root.
fn after_key(root: &Root, after: &[u8]) -> Vec<u8> {
    let mut key = root.key(after).unwrap_or_default();
    key.push(0);
    key
}

/// # Errors
/// [`Error::Foreign`] if the value is none of skiff's.
pub fn entry(root: &Root, kv: PbKeyValue) -> Result<Entry, Error> {
    let here = (
        root.revision(kv.create_revision),
        root.revision(kv.mod_revision),
    );
    match value::decode(kv.value, here.1) {
        Some(read) => {
            let (created, modified) = read.moved.unwrap_or(here);
            Ok(Entry {
                key: strip(root, kv.key),
                value: read.bytes,
                created,
                modified,
            })
        }
        None => Err(Error::Foreign {
            key: String::from_utf8_lossy(&kv.key).into_owned(),
        }),
    }
}

pub fn strip(root: &Root, key: Vec<u8>) -> Bytes {
    match root.strip(&key) {
        Some(_) => root.strip_owned(key),
        None => Bytes::from(key),
    }
}

/// etcd counts in signed numbers and never below zero.
pub fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

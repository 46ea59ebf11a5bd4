//! Writing keys: each write is one transaction that checks what is expected
//! and answers what is there if that does not hold.

use etcd_client::proto::{PbDeleteResponse, PbKeyValue, PbRangeResponse, PbTxnOpResponse};
use etcd_client::{Compare, CompareOp, DeleteOptions, GetOptions, Txn, TxnOp, TxnResponse};
use store::{Entry, Error, Expect, Fence, Revision, Value, fence};

use crate::etcd::Etcd;
use crate::failure::{Fate, Refusal};
use crate::read::entry;
use crate::value;

const MAX_KEY: usize = 4 << 10;
const MAX_VALUE: usize = 8 << 20;
/// What etcd takes unless it is told otherwise (`--max-request-bytes`).
const ETCD_LIMIT: usize = 3 << 19;

/// What came of a transaction.
enum Done {
    Written(TxnResponse),
    /// Nothing was written: this is there instead of what was expected.
    Otherwise(Option<Entry>),
}

impl Etcd {
    pub(crate) async fn write_put(
        &self,
        key: &[u8],
        value: Value,
        expect: Expect,
    ) -> Result<Entry, Error> {
        check(key, &value)?;
        let at = self.root.key(key)?;
        if expect == Expect::At(Revision(0)) {
            let current = self.read_key(key).await?;
            return Err(Error::Conflict { current });
        }
        let stored = value::encode(&value);
        let size = stored.len();
        let put = TxnOp::put(at.clone(), stored, None);
        let made = TxnOp::get(at.clone(), Some(GetOptions::new().with_keys_only()));
        let then = match expect {
            Expect::Absent => vec![put],
            Expect::Any | Expect::At(_) => vec![put, made],
        };
        let answer = match self.transact(at, expect, then, size).await? {
            Done::Written(answer) => answer,
            Done::Otherwise(current) => return Err(Error::Conflict { current }),
        };
        let modified = self.revision_in(answer.header());
        self.feed.made(modified);
        let created = got(answer).map_or(modified, |kv| self.root.revision(kv.create_revision));
        Ok(Entry {
            key: bytes::Bytes::copy_from_slice(key),
            value: value.fill(modified),
            created,
            modified,
        })
    }

    pub(crate) async fn write_delete(
        &self,
        key: &[u8],
        expect: Expect,
    ) -> Result<(Entry, Revision), Error> {
        check_size("key", key.len(), MAX_KEY)?;
        let at = self.root.key(key)?;
        if matches!(expect, Expect::Absent | Expect::At(Revision(0))) {
            let current = self.read_key(key).await?;
            return Err(not_deleted(current));
        }
        let delete = TxnOp::delete(at.clone(), Some(DeleteOptions::new().with_prev_key()));
        let answer = match self.transact(at, expect, vec![delete], 0).await? {
            Done::Written(answer) => answer,
            Done::Otherwise(current) => return Err(not_deleted(current)),
        };
        let revision = self.revision_in(answer.header());
        match deleted(answer).prev_kvs.into_iter().next() {
            // It is gone: that it was none of skiff's is no error any more.
            Some(kv) => {
                self.feed.made(revision);
                Ok((self.last(key, kv), revision))
            }
            None => Err(Error::NotFound),
        }
    }

    /// `at` is where the key lies in etcd.
    async fn transact(
        &self,
        at: Vec<u8>,
        expect: Expect,
        then: Vec<TxnOp>,
        size: usize,
    ) -> Result<Done, Error> {
        let fence = fence::held();
        let mut compare = match expect {
            Expect::Any => Vec::new(),
            Expect::Absent => vec![Compare::create_revision(at.clone(), CompareOp::Equal, 0)],
            Expect::At(revision) => {
                let revision = match self.written_at(&at, revision).await? {
                    Ok(revision) => revision,
                    Err(current) => return Ok(Done::Otherwise(current)),
                };
                vec![Compare::mod_revision(
                    at.clone(),
                    CompareOp::Equal,
                    revision,
                )]
            }
        };
        let mut otherwise = Vec::new();
        if let Some(fence) = &fence {
            let office = self.root.key(&fence.key)?;
            let at = self.root.origin().etcds(fence.at)?;
            compare.push(Compare::mod_revision(office.clone(), CompareOp::Equal, at));
            otherwise.push(TxnOp::get(office, None));
        }
        // What is read last is what is there instead of what was expected.
        otherwise.push(TxnOp::get(at, None));
        let txn = Txn::new().when(compare).and_then(then).or_else(otherwise);
        let answer = self.servers.txn(txn).await;
        let answer = answer.map_err(|failure| match failure.fate {
            Fate::Refused(Refusal::TooLarge) => Error::TooLarge {
                what: "request",
                size,
                limit: ETCD_LIMIT,
            },
            _ => self.servers.write_error(failure),
        })?;
        self.saw(self.revision_in(answer.header()));
        if answer.succeeded() {
            return Ok(Done::Written(answer));
        }
        if let Some(fence) = &fence {
            self.check_office(fence, &answer)?;
        }
        self.found(answer).map(Done::Otherwise)
    }

    /// When etcd wrote what the store calls `revision` of a key. Of an entry that
    /// was moved here only the entry itself says it; if it is not of that revision,
    /// the answer is what is there.
    async fn written_at(
        &self,
        at: &[u8],
        revision: Revision,
    ) -> Result<Result<i64, Option<Entry>>, Error> {
        if revision >= self.root.origin().begins() {
            return self.root.origin().etcds(revision).map(Ok);
        }
        let answer = self.servers.get(at.to_vec(), GetOptions::new()).await;
        let answer = answer.map_err(|failure| self.servers.read_error(failure))?;
        let Some(kv) = answer.0.kvs.into_iter().next() else {
            return Ok(Err(None));
        };
        let written = kv.mod_revision;
        let current = entry(&self.root, kv)?;
        if current.modified == revision {
            Ok(Ok(written))
        } else {
            Ok(Err(Some(current)))
        }
    }

    /// # Errors
    /// [`Error::Deposed`] if a transaction failed because its office has changed
    /// hands.
    fn check_office(&self, fence: &Fence, answer: &TxnResponse) -> Result<(), Error> {
        let first = answer.0.responses.first();
        let read = first.and_then(|op| op.response.as_ref());
        let at = match read {
            Some(PbTxnOpResponse::ResponseRange(range)) => range.kvs.first(),
            _ => None,
        };
        if at.map(|kv| self.root.revision(kv.mod_revision)) == Some(fence.at) {
            return Ok(());
        }
        Err(Error::Deposed {
            office: fence.key.clone(),
        })
    }

    fn found(&self, answer: TxnResponse) -> Result<Option<Entry>, Error> {
        got(answer).map(|kv| entry(&self.root, kv)).transpose()
    }

    fn last(&self, key: &[u8], kv: PbKeyValue) -> Entry {
        let created = self.root.revision(kv.create_revision);
        let modified = self.root.revision(kv.mod_revision);
        entry(&self.root, kv).unwrap_or_else(|_| Entry {
            key: bytes::Bytes::copy_from_slice(key),
            value: bytes::Bytes::new(),
            created,
            modified,
        })
    }
}

fn check(key: &[u8], value: &Value) -> Result<(), Error> {
    let size = value.bytes.len();
    check_size("key", key.len(), MAX_KEY)?;
    check_size("value", size, MAX_VALUE)?;
    match value.revision_at {
        Some(at) if at > size => Err(Error::BadHole { at, size }),
        _ => Ok(()),
    }
}

fn check_size(what: &'static str, size: usize, limit: usize) -> Result<(), Error> {
    if size > limit {
        return Err(Error::TooLarge { what, size, limit });
    }
    Ok(())
}

fn not_deleted(current: Option<Entry>) -> Error {
    match current {
        None => Error::NotFound,
        current => Error::Conflict { current },
    }
}

/// The key that the transaction read last.
fn got(answer: TxnResponse) -> Option<PbKeyValue> {
    let range = |op| match op {
        PbTxnOpResponse::ResponseRange(PbRangeResponse { kvs, .. }) => kvs.into_iter().next(),
        _ => None,
    };
    let mut ops = answer.0.responses.into_iter().rev();
    ops.find_map(|op| op.response.and_then(range))
}

fn deleted(answer: TxnResponse) -> PbDeleteResponse {
    let delete = |op| match op {
        PbTxnOpResponse::ResponseDeleteRange(delete) => Some(delete),
        _ => None,
    };
    let mut ops = answer.0.responses.into_iter();
    ops.find_map(|op| op.response.and_then(delete))
        .unwrap_or_default()
}

//! Where the store's revisions begin, which etcd alone does not know.
//!
//! A store that was moved here goes on with the revisions that it had, or clients
//! would see them go back. etcd counts for itself; so a number is added to its
//! revisions, the same on every server and for ever. It stands in a key beside
//! the root, written last of a move: before that no server begins here, and once
//! the store was moved away none begins any more. A store that was never moved
//! has no such key, and etcd's revisions are its own.

use etcd_client::GetOptions;
use store::{Error, Revision};

use crate::failure::Failure;
use crate::read::unsigned;
use crate::root::Root;
use crate::servers::Servers;

/// No store comes so far.
const MAX_SHIFT: u64 = 1 << 62;

/// What is added to etcd's revisions, and the first that can be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    shift: u64,
    begins: Revision,
}

/// What the key says. The words in etcd are those of [`Note::text`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A move into this place has begun. It ends with [`Note::Whole`], or is done
    /// over.
    Filling,
    /// All of the store is here.
    Whole { shift: u64 },
    /// The store has gone on elsewhere since.
    Left { shift: u64, to: String },
}

/// The key as it was read.
#[derive(Clone, Debug, Default)]
pub struct Noted {
    /// What it says; `None` if it is not there.
    pub note: Option<Note>,
    /// When it was written, in etcd's own count; 0 if it is not there.
    pub at: i64,
}

/// Why no server can begin on what is here.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unusable {
    #[error(
        "a move of a store to there was cut short; run `skiff datastore migrate` again, which begins it anew"
    )]
    Unfinished,
    #[error(
        "its store was moved to {to} and goes on there; to go on with what it was when it left, put `{back}` at the key {key}"
    )]
    Left {
        to: String,
        key: String,
        back: String,
    },
    #[error("the key {key} says {text:?}, which this skiff does not understand: use a newer one")]
    Unknown { key: String, text: String },
}

impl Origin {
    /// Of a store whose last move here was finished by etcd's revision `at`.
    pub fn new(shift: u64, at: i64) -> Self {
        Self {
            shift,
            begins: Revision(unsigned(at) + shift),
        }
    }

    /// The first revision of which all is known.
    pub fn begins(self) -> Revision {
        self.begins
    }

    /// The store's revision of one of etcd's.
    pub fn revision(self, etcds: i64) -> Revision {
        Revision(unsigned(etcds) + self.shift)
    }

    /// etcd's revision of one of the store's.
    ///
    /// # Errors
    /// [`Error::Compacted`] of one before the store came here, [`Error::Future`]
    /// of one that etcd cannot have come to.
    pub fn etcds(self, revision: Revision) -> Result<i64, Error> {
        if revision < self.begins {
            return Err(Error::Compacted {
                wanted: revision,
                oldest: self.begins,
            });
        }
        i64::try_from(revision.0 - self.shift).map_err(|_| Error::Future {
            wanted: revision,
            newest: Revision(i64::MAX.unsigned_abs()),
        })
    }

    /// What the key says once the store has gone on elsewhere.
    pub fn left(self, to: &str) -> Note {
        Note::Left {
            shift: self.shift,
            to: to.to_owned(),
        }
    }
}

impl Note {
    pub fn text(&self) -> String {
        match self {
            Self::Filling => "1 filling".to_owned(),
            Self::Whole { shift } => format!("1 whole {shift}"),
            Self::Left { shift, to } => format!("1 left {shift} {to}"),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if text == Self::Filling.text() {
            return Some(Self::Filling);
        }
        match text.strip_prefix("1 ")?.split_once(' ')? {
            ("whole", shift) => Some(Self::Whole {
                shift: parse_shift(shift)?,
            }),
            ("left", rest) => {
                let (shift, to) = rest.split_once(' ')?;
                Some(Self::Left {
                    shift: parse_shift(shift)?,
                    to: to.to_owned(),
                })
            }
            _ => None,
        }
    }
}

/// One that a revision may be added to.
fn parse_shift(text: &str) -> Option<u64> {
    text.parse().ok().filter(|shift| *shift <= MAX_SHIFT)
}

impl Noted {
    /// # Errors
    /// [`Error::Datastore`] if it says what this skiff does not understand.
    pub async fn read(servers: &Servers, root: &Root) -> Result<Self, Error> {
        let answer = servers.get(root.origin_key(), GetOptions::new()).await;
        let answer = answer.map_err(|failure: Failure| servers.read_error(failure))?;
        let Some(kv) = answer.0.kvs.into_iter().next() else {
            return Ok(Self::default());
        };
        let text = String::from_utf8_lossy(&kv.value).into_owned();
        let Some(note) = Note::parse(&text) else {
            let key = root.origin_key_text();
            return Err(unusable(servers, root, Unusable::Unknown { key, text }));
        };
        Ok(Self {
            note: Some(note),
            at: kv.mod_revision,
        })
    }

    /// # Errors
    /// [`Error::Datastore`] if no server may begin here.
    pub fn origin(self, servers: &Servers, root: &Root) -> Result<Origin, Error> {
        let why = match self.note {
            None => return Ok(Origin::default()),
            Some(Note::Whole { shift }) => return Ok(Origin::new(shift, self.at)),
            Some(Note::Filling) => Unusable::Unfinished,
            Some(Note::Left { shift, to }) => Unusable::Left {
                to,
                key: root.origin_key_text(),
                back: Note::Whole { shift }.text(),
            },
        };
        Err(unusable(servers, root, why))
    }
}

fn unusable(servers: &Servers, root: &Root, source: Unusable) -> Error {
    Error::Datastore {
        what: format!(
            "use what is under {} of the datastore at {}",
            root.prefix_text(),
            servers.names()
        ),
        source: Box::new(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_read_as_they_were_written_and_nothing_else_is() {
        let left = Note::Left {
            shift: 7,
            to: "the directory /var/lib/x y".into(),
        };
        for note in [Note::Filling, Note::Whole { shift: 0 }, left] {
            assert_eq!(Note::parse(&note.text()), Some(note));
        }
        let most = format!("1 whole {}", u64::MAX);
        for text in [
            "",
            "1",
            "2 filling",
            "1 whole",
            "1 whole x",
            "1 left 7",
            &most,
        ] {
            assert_eq!(Note::parse(text), None, "{text}");
        }
    }

    #[test]
    fn revisions_go_there_and_back_and_none_from_before_the_move_does() {
        let origin = Origin::new(1000, 5);
        assert_eq!(origin.revision(6), Revision(1006));
        assert_eq!(origin.etcds(Revision(1006)).unwrap(), 6);
        assert_eq!(origin.begins(), Revision(1005));
        for old in [0, 999, 1004] {
            let error = origin.etcds(Revision(old)).unwrap_err();
            assert!(matches!(error, Error::Compacted { .. }), "{error}");
        }
        let error = origin.etcds(Revision(u64::MAX)).unwrap_err();
        assert!(matches!(error, Error::Future { .. }), "{error}");
    }

    #[test]
    fn store_that_was_never_moved_has_etcds_own_revisions() {
        let origin = Origin::default();
        assert_eq!(origin.revision(42), Revision(42));
        assert_eq!(origin.etcds(Revision(42)).unwrap(), 42);
        assert_eq!(origin.begins(), Revision(0));
    }
}

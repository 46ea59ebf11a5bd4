//! Kubernetes protobuf: reads what clients send into the JSON that they would have
//! sent otherwise, and writes JSON as what they ask for.
//!
//! `kubectl create` and Go's typed clients write protobuf; controllers, kubelets
//! and metadata informers ask for it. Types come from the schemas; field numbers,
//! which those lack, from a table of one line a definition: `name=number`, and
//! `>definition=number` where Go embeds a struct that JSON shows flat.
//!
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding>

mod alternatives;
mod envelope;
mod object;
mod table;
mod wire;
mod write;

use std::fmt;

use serde_json::{Map, Value};

use crate::{Node, registry};
pub use envelope::{List, frame, is_written, metadata, write};
use object::message;
use wire::{Field, fields};

/// The content type of what [`read`] reads.
pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// What every body begins with.
pub const MAGIC: &[u8] = b"k8s\0";

/// Why a body was refused; displays as Kubernetes words it where it has words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The body does not begin as Kubernetes protobuf does.
    NoMagic,
    /// The body ends early or is no protobuf.
    Malformed,
    /// The JSON is not what the schema says; nothing stored is.
    Unfit { path: String, wanted: String },
    /// There is no table of field numbers for the kind.
    UnknownKind { api_version: String, kind: String },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMagic => f.write_str(
                "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]",
            ),
            Self::Malformed => f.write_str("unexpected EOF"),
            Self::Unfit { path, wanted } => {
                write!(f, "write {path} as protobuf: it is not {wanted}")
            }
            Self::UnknownKind { api_version, kind } => {
                write!(f, "no kind \"{kind}\" is registered for version \"{api_version}\" in protobuf")
            }
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    /// The same, of the field that has what is wrong below it.
    fn below(self, field: &str) -> Self {
        match self {
            Self::Unfit { path, wanted } => Self::Unfit {
                path: format!(".{field}{path}"),
                wanted,
            },
            error => error,
        }
    }
}

/// Reads one object. Its `apiVersion` and `kind` are those of the envelope, or
/// `fallback` (`v1`, `Pod`) where that names none.
///
/// # Errors
/// The body is no Kubernetes protobuf, or of a kind that has no protobuf form.
pub fn read(body: &[u8], fallback: (&str, &str)) -> Result<Value, Error> {
    let envelope = Envelope::read(body.strip_prefix(MAGIC).ok_or(Error::NoMagic)?)?;
    let (api_version, kind) = match (envelope.api_version, envelope.kind) {
        ("", "") => fallback,
        named => named,
    };
    let unknown = || Error::UnknownKind {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
    };
    let Some(Node::Object(object)) = schema_of(api_version, kind) else {
        return Err(unknown());
    };
    let row = table::row(object.name()).ok_or_else(unknown)?;
    let mut value = Map::new();
    message(row, object, envelope.raw, &mut value, 0)?;
    value.insert("apiVersion".to_owned(), api_version.into());
    value.insert("kind".to_owned(), kind.into());
    Ok(Value::Object(value))
}

fn schema_of(api_version: &str, kind: &str) -> Option<&'static Node> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    match kind {
        // Clients send it in whatever version they speak.
        "DeleteOptions" => registry::of("", "v1", kind),
        _ => registry::of(group, version, kind),
    }
}

/// `runtime.Unknown`: what the object is, and its bytes.
#[derive(Default)]
struct Envelope<'a> {
    api_version: &'a str,
    kind: &'a str,
    raw: &'a [u8],
}

impl<'a> Envelope<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut envelope = Self::default();
        for field in fields(bytes) {
            match field? {
                (1, Field::Bytes(type_meta)) => {
                    for field in fields(type_meta) {
                        match field? {
                            (1, Field::Bytes(text)) => envelope.api_version = wire::text(text)?,
                            (2, Field::Bytes(text)) => envelope.kind = wire::text(text)?,
                            _ => {}
                        }
                    }
                }
                (2, Field::Bytes(raw)) => envelope.raw = raw,
                _ => {}
            }
        }
        Ok(envelope)
    }
}

#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod tests;

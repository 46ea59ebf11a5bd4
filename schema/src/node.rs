//! The compact tree a schema is compiled to.

use std::sync::{Arc, OnceLock};

use serde_json::Value;

/// What a value at one place of an object may be. Cheap to clone: shared parts
/// are counted references.
#[derive(Clone, Debug)]
pub enum Node {
    /// A struct: named fields, each with a node of its own.
    Object(Arc<Object>),
    /// String keys to values of one node.
    Map(Arc<Map>),
    List(Arc<List>),
    String,
    /// Base64 in JSON.
    Bytes,
    Integer(Width),
    Number,
    Boolean,
    IntOrString,
    Quantity,
    Time,
    MicroTime,
    /// Any JSON object, kept as it came.
    RawObject,
    /// Anything at all, kept as it came.
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    Int32,
    Int64,
}

/// A definition with named fields; `name` is Kubernetes' own
/// (`io.k8s.api.core.v1.PodSpec`), empty for an inline one.
#[derive(Debug)]
pub struct Object {
    name: Box<str>,
    atomic: bool,
    keeps_unknown: bool,
    // Filled after the object exists, since a definition may contain itself.
    fields: OnceLock<Fields>,
}

/// Fields, sorted by name.
#[derive(Debug)]
struct Fields {
    all: Box<[Field]>,
    /// How each name begins, as numbers: they tell most names apart, and a search
    /// among them is a fraction of one among the names.
    heads: Box<[u64]>,
}

#[derive(Clone, Debug)]
pub struct Field {
    pub name: Box<str>,
    pub node: Node,
    pub required: bool,
    pub strategy: Strategy,
}

/// What a strategic merge patch does with a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strategy {
    /// Lists: merged item by item rather than replaced.
    pub merge: bool,
    /// Objects: replaced rather than merged.
    pub replace: bool,
    /// Fields that the patch does not name in `$retainKeys` are dropped.
    pub retain_keys: bool,
}

#[derive(Debug)]
pub struct Map {
    pub values: Node,
    pub atomic: bool,
}

#[derive(Debug)]
pub struct List {
    pub items: Node,
    pub kind: ListKind,
    /// The key that a strategic merge patch finds items by.
    pub merge_key: Option<Box<str>>,
}

/// How server-side apply sees a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListKind {
    /// Owned and replaced as a whole.
    Atomic,
    /// Scalars, each owned by its value.
    Set,
    /// Objects, each owned by the values of these keys.
    Map(Box<[ListKey]>),
}

/// A key of a list map, and the value that counts where an item lacks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListKey {
    pub name: Box<str>,
    pub default: Option<Value>,
}

impl Object {
    /// An object whose fields are given at once.
    pub fn new(name: &str, atomic: bool, keeps_unknown: bool, fields: Vec<Field>) -> Self {
        let object = Self::declare(name, atomic, keeps_unknown);
        object.define(fields);
        object
    }

    /// An object whose fields are still to come, by [`Object::define`].
    pub fn declare(name: &str, atomic: bool, keeps_unknown: bool) -> Self {
        Self {
            name: name.into(),
            atomic,
            keeps_unknown,
            fields: OnceLock::new(),
        }
    }

    /// Gives a declared object its fields; a second call changes nothing.
    pub fn define(&self, mut fields: Vec<Field>) {
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        let _ = self.fields.set(Fields {
            heads: fields.iter().map(|field| head(&field.name)).collect(),
            all: fields.into_boxed_slice(),
        });
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Server-side apply owns and replaces the object as a whole.
    pub fn is_atomic(&self) -> bool {
        self.atomic
    }

    /// Fields that the schema does not name are kept.
    pub fn keeps_unknown(&self) -> bool {
        self.keeps_unknown
    }

    /// The fields, sorted by name.
    pub fn fields(&self) -> &[Field] {
        self.fields.get().map_or(&[], |fields| &fields.all)
    }

    pub fn field(&self, name: &str) -> Option<&Field> {
        let Fields { all, heads } = self.fields.get()?;
        let wanted = head(name);
        let at = heads.partition_point(|head| *head < wanted);
        let first = all.get(at).filter(|_| heads[at] == wanted)?;
        if *first.name == *name {
            return Some(first);
        }
        let alike = &all[at + 1..];
        let found = alike.binary_search_by(|field| (*field.name).cmp(name));
        found.ok().map(|found| &alike[found])
    }
}

/// The first eight bytes of a name as a number that sorts as they do.
fn head(name: &str) -> u64 {
    match name.as_bytes().first_chunk() {
        Some(head) => u64::from_be_bytes(*head),
        None => {
            let short = name
                .bytes()
                .fold(0, |head, byte| head << 8 | u64::from(byte));
            let missing = u64::BITS - u8::BITS * name.len() as u32;
            short.checked_shl(missing).unwrap_or(0)
        }
    }
}

impl Node {
    /// The field of that name of an object, or the value node of a map.
    pub fn child(&self, name: &str) -> Option<&Node> {
        match self {
            Self::Object(object) => object.field(name).map(|f| &f.node),
            Self::Map(map) => Some(&map.values),
            _ => None,
        }
    }

    /// The node at a path of field names.
    pub fn at<'a>(&'a self, path: &[&str]) -> Option<&'a Node> {
        path.iter().try_fold(self, |node, name| node.child(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &[
        "",
        "a",
        "ab",
        "abcdefgh",
        "abcdefghi",
        "abcdefghij",
        "terminationGracePeriodSeconds",
        "terminationMessagePath",
        "terminationMessagePolicy",
        "zone",
        "\u{e4}",
    ];

    #[test]
    fn a_field_is_found_by_its_whole_name_and_no_other() {
        let fields = NAMES.iter().rev().map(|name| Field {
            name: (*name).into(),
            node: Node::Any,
            required: false,
            strategy: Strategy::default(),
        });
        let object = Object::new("o", false, false, fields.collect());
        for name in NAMES {
            assert_eq!(object.field(name).map(|f| &*f.name), Some(*name));
            for other in [format!("{name}\0"), format!("{name}x")] {
                assert!(object.field(&other).is_none(), "{other:?}");
            }
        }
        assert!(object.field("abcdefg").is_none());
        assert!(object.field("terminationMessage").is_none());
        assert!(
            Object::new("o", false, false, Vec::new())
                .field("a")
                .is_none()
        );
    }
}

//! The fields of one owner: kept as they are written until they change, since most
//! writes change what one of several owners has, and only little of that.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::FieldSet;

#[derive(Clone, Debug)]
pub(crate) enum Claim {
    /// `fieldsV1`, exactly as [`FieldSet::encode`] writes it.
    Encoded(Value),
    Decoded(FieldSet),
}

impl Claim {
    /// Reads `fieldsV1`; `None` if it is malformed.
    pub(super) fn decode(fields: &Value) -> Option<Self> {
        if FieldSet::is_encoding(fields) {
            return Some(Self::Encoded(fields.clone()));
        }
        FieldSet::decode(fields).map(Self::Decoded)
    }

    pub(super) fn encode(self) -> Value {
        match self {
            Self::Encoded(fields) => fields,
            Self::Decoded(set) => set.encode(),
        }
    }

    pub(crate) fn set(&self) -> Cow<'_, FieldSet> {
        match self {
            Self::Encoded(fields) => Cow::Owned(FieldSet::decode(fields).unwrap_or_default()),
            Self::Decoded(set) => Cow::Borrowed(set),
        }
    }

    fn into_set(self) -> FieldSet {
        match self {
            Self::Encoded(fields) => FieldSet::decode(&fields).unwrap_or_default(),
            Self::Decoded(set) => set,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Encoded(fields) => fields.as_object().is_none_or(Map::is_empty),
            Self::Decoded(set) => set.is_empty(),
        }
    }

    /// Adds every path of `other`.
    pub(super) fn extend(&mut self, other: Self) {
        self.change(|set| set.extend(other.into_set()));
    }

    /// Takes out every path that `other` holds.
    pub(super) fn subtract(&mut self, other: &FieldSet) {
        if !matches!(self, Self::Encoded(fields) if !other.meets(fields)) {
            self.change(|set| set.subtract(other));
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut FieldSet)) {
        let mut set = std::mem::take(self).into_set();
        change(&mut set);
        *self = Self::Decoded(set);
    }
}

impl Default for Claim {
    fn default() -> Self {
        FieldSet::default().into()
    }
}

impl From<FieldSet> for Claim {
    fn from(set: FieldSet) -> Self {
        Self::Decoded(set)
    }
}

impl PartialEq for Claim {
    fn eq(&self, other: &Self) -> bool {
        self.set() == other.set()
    }
}

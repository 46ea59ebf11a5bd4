//! The columns `kubectl get` shows, and the cells below them.

use apimachinery::{duration, meta};
use jiff::Timestamp;
use serde_json::Value;

/// One column of a Table.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    pub name: &'a str,
    /// `type` of the Table: string, integer, boolean, date.
    pub data_type: &'a str,
    pub format: &'a str,
    pub description: &'a str,
    /// 0 is always shown, 1 only in `-o wide`.
    pub priority: i32,
}

impl<'a> Column<'a> {
    pub const fn text(name: &'a str, description: &'a str) -> Self {
        Column {
            name,
            data_type: "string",
            format: "",
            description,
            priority: 0,
        }
    }

    pub const fn count(name: &'a str, description: &'a str) -> Self {
        Column {
            data_type: "integer",
            ..Self::text(name, description)
        }
    }

    pub const fn flag(name: &'a str, description: &'a str) -> Self {
        Column {
            data_type: "boolean",
            ..Self::text(name, description)
        }
    }

    /// Shown only in wide output.
    pub const fn wide(self) -> Self {
        Column {
            priority: 1,
            ..self
        }
    }
}

/// The column every kind starts with.
pub const NAME: Column = Column {
    format: "name",
    ..Column::text(
        "Name",
        "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically.",
    )
};

pub const AGE: Column = Column::text(
    "Age",
    "CreationTimestamp is a timestamp representing the server time when this object was created.",
);

pub const NAME_AND_AGE: &[Column] = &[
    NAME,
    Column {
        name: "Created At",
        data_type: "date",
        format: "",
        description: AGE.description,
        priority: 0,
    },
];

/// The cells of [`NAME_AND_AGE`].
pub fn name_and_age(object: &Value, _: Timestamp) -> Vec<Value> {
    let created = meta::creation_timestamp(object).unwrap_or_default();
    vec![meta::name(object).into(), created.into()]
}

/// The cells below [`NAME`] and [`AGE`].
pub fn name_and_how_old(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), age(object, now)]
}

pub fn name(object: &Value) -> Value {
    meta::name(object).into()
}

pub fn age(object: &Value, now: Timestamp) -> Value {
    duration::age(meta::creation_timestamp(object), now).into()
}

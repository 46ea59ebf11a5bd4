//! JSON as CEL values that borrow it.
//!
//! A list or map is opened one level at a time, when an expression first looks inside.
//! A type says how texts are to be read: as timestamps, durations, bytes.

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cel::ExecutionError;
use cel::common::traits::{Adder, Container, Indexer, Iterable, Iterator, Sizer, Zeroer};
use cel::common::types::{
    CelBool, CelBytes, CelDouble, CelDuration, CelInt, CelList, CelMap, CelMapKey, CelNull,
    CelString, CelTimestamp, LIST_TYPE, MAP_TYPE, Type as CelType,
};
use cel::common::value::{Builtin, BuiltinRef, CowVal, Val};
use chrono::{DateTime, NaiveDate, NaiveTime};
use serde_json::{Map, Value};

use super::names;
use crate::types::Type;

/// The types of lists and maps that borrow JSON: equal to all lists' and maps', told
/// apart by where they are.
static BORROWED_LIST: CelType = LIST_TYPE;
static BORROWED_MAP: CelType = MAP_TYPE;

/// The value borrows JSON: a copy of it is a pointer.
pub fn is_borrowed(value: &dyn Val) -> bool {
    let kind = value.get_type();
    std::ptr::eq(kind, &BORROWED_LIST) || std::ptr::eq(kind, &BORROWED_MAP)
}

/// `value` as an expression sees it, read as `kind` says.
pub fn to_val<'a>(value: &'a Value, kind: &'a Type) -> Box<dyn Val + 'a> {
    match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(truth) => Box::new(CelBool::from(*truth)),
        Value::Number(number) => to_number(number, kind.plain()),
        Value::String(text) => to_text(text, kind.plain()),
        Value::Array(items) => Box::new(JsonList::new(items, kind)),
        Value::Object(fields) => Box::new(JsonMap::new(fields, kind)),
    }
}

fn to_number<'a>(number: &serde_json::Number, kind: &Type) -> Box<dyn Val + 'a> {
    let double = || Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN)));
    if *kind == Type::Double {
        return double();
    }
    match (number.as_i64(), number.as_f64()) {
        (Some(whole), _) => Box::new(CelInt::from(whole)),
        (None, Some(broken))
            if *kind == Type::Int && broken.fract() == 0.0 && broken.abs() < 9e18 =>
        {
            Box::new(CelInt::from(broken as i64))
        }
        _ => double(),
    }
}

fn to_text<'a>(text: &'a str, kind: &Type) -> Box<dyn Val + 'a> {
    let read: Option<Box<dyn Val + 'a>> = match kind {
        Type::Timestamp => timestamp(text).map(|t| Box::new(t) as Box<dyn Val>),
        Type::Duration => duration(text).map(|d| Box::new(d) as Box<dyn Val>),
        Type::Bytes => {
            let bytes = STANDARD.decode(text).ok();
            bytes.map(|b| Box::new(CelBytes::from(b)) as Box<dyn Val>)
        }
        _ => None,
    };
    read.unwrap_or_else(|| Box::new(CelString::from(text)))
}

fn timestamp(text: &str) -> Option<CelTimestamp> {
    let time = DateTime::parse_from_rfc3339(text).ok().or_else(|| {
        let day: NaiveDate = text.parse().ok()?;
        Some(day.and_time(NaiveTime::MIN).and_utc().fixed_offset())
    });
    time.map(CelTimestamp::from)
}

fn duration(text: &str) -> Option<CelDuration> {
    let nanos = crate::library::duration::parse(text)?;
    Some(CelDuration::from(chrono::Duration::nanoseconds(nanos)))
}

/// A JSON array.
struct JsonList<'a> {
    source: &'a [Value],
    item: &'a Type,
    opened: OnceLock<CelList<'a>>,
}

impl<'a> JsonList<'a> {
    fn new(source: &'a [Value], kind: &'a Type) -> Self {
        let item = match kind.plain() {
            Type::List(item) => item,
            _ => &Type::Dyn,
        };
        Self {
            source,
            item,
            opened: OnceLock::new(),
        }
    }

    fn open(&self) -> &CelList<'a> {
        self.opened.get_or_init(|| {
            let items = self.source.iter().map(|item| to_val(item, self.item));
            CelList::from(items.collect::<Vec<_>>())
        })
    }
}

impl fmt::Debug for JsonList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of {}", self.source.len())
    }
}

/// A JSON object.
struct JsonMap<'a> {
    source: &'a Map<String, Value>,
    kind: &'a Type,
    opened: OnceLock<CelMap<'a>>,
}

impl<'a> JsonMap<'a> {
    fn new(source: &'a Map<String, Value>, kind: &'a Type) -> Self {
        Self {
            source,
            kind: kind.plain(),
            opened: OnceLock::new(),
        }
    }

    fn open(&self) -> &CelMap<'a> {
        self.opened.get_or_init(|| CelMap::from(self.entries()))
    }

    fn entries(&self) -> HashMap<CelMapKey<'a>, Box<dyn Val + 'a>> {
        let key = |text: &'a str| CelMapKey::String(CelString::from(text));
        match self.kind {
            // What the type does not know cannot be asked for either.
            Type::Object(object) => {
                let known = object.fields.iter().filter_map(|(field, kind)| {
                    let value = self.source.get(names::unescape(field).as_ref())?;
                    Some((key(field), to_val(value, kind)))
                });
                known.collect()
            }
            other => {
                let kind = match other {
                    Type::Map(_, value) => value,
                    _ => &Type::Dyn,
                };
                let all = self.source.iter();
                all.map(|(name, value)| (key(name), to_val(value, kind)))
                    .collect()
            }
        }
    }

    /// The name a field that is not there as written may have been meant for.
    fn other_name(&self, field: &dyn Val) -> Option<String> {
        if !matches!(self.kind, Type::Dyn) {
            return None;
        }
        let field = field.downcast_ref::<CelString>()?.inner();
        let property = names::unescape(field);
        (property != field).then(|| property.into_owned())
    }
}

impl fmt::Debug for JsonMap<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a map of {}", self.source.len())
    }
}

/// What lists and maps that borrow JSON have in common: each asks what it opens to.
macro_rules! borrowed {
    ($value:ident, $kind:ident, $builtin:ident { $($own:tt)* }) => {
        impl Val for $value<'_> {
            fn get_type(&self) -> &CelType {
                &$kind
            }

            fn cel_type() -> &'static CelType {
                &$kind
            }

            fn as_container(&self) -> Option<&dyn Container> {
                Some(self)
            }

            fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
            where
                Self: 'v,
            {
                Some(self)
            }

            fn into_indexer<'v>(self: Box<Self>) -> Option<Box<dyn Indexer + 'v>>
            where
                Self: 'v,
            {
                Some(self)
            }

            fn as_iterable<'b, 'v>(&'b self) -> Option<&'b (dyn Iterable + 'v)>
            where
                Self: 'v,
            {
                Some(self)
            }

            fn as_sizer(&self) -> Option<&dyn Sizer> {
                Some(self)
            }

            fn as_zeroer(&self) -> Option<&dyn Zeroer> {
                Some(self)
            }

            fn equals(&self, other: &dyn Val) -> bool {
                self.open().equals(other)
            }

            fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
            where
                Self: 'v,
            {
                Box::new(Self {
                    opened: OnceLock::new(),
                    ..*self
                })
            }

            fn as_builtin<'b, 'v>(&'b self) -> BuiltinRef<'b, 'v>
            where
                Self: 'v,
            {
                BuiltinRef::$builtin(self.open())
            }

            fn into_builtin<'v>(self: Box<Self>) -> Option<Builtin<'v>>
            where
                Self: 'v,
            {
                self.open();
                self.opened.into_inner().map(Builtin::$builtin)
            }

            $($own)*
        }

        impl Container for $value<'_> {
            fn contains(&self, value: &dyn Val) -> Result<bool, ExecutionError> {
                self.open().contains(value)
            }
        }

        impl Iterable for $value<'_> {
            fn iter<'b, 'v>(&'b self) -> Box<dyn Iterator<'b, 'v> + 'b>
            where
                Self: 'v,
            {
                Iterable::iter(self.open())
            }
        }

        impl Zeroer for $value<'_> {
            fn is_zero_value(&self) -> bool {
                self.source.is_empty()
            }
        }
    };
}

borrowed!(JsonMap, BORROWED_MAP, Map {});
borrowed!(JsonList, BORROWED_LIST, List {
    fn as_adder<'b, 'v>(&'b self) -> Option<&'b (dyn Adder + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }
});

impl Adder for JsonList<'_> {
    fn add<'b, 'v>(&'b self, rhs: &(dyn Val + 'v)) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.open().add(rhs)
    }
}

impl Indexer for JsonList<'_> {
    fn get<'b, 'v>(&'b self, index: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        Indexer::get(self.open(), index)
    }

    fn steal<'v>(self: Box<Self>, index: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        Indexer::get(self.open(), index).map(CowVal::into_owned)
    }
}

impl Sizer for JsonList<'_> {
    fn size(&self) -> CelInt {
        CelInt::from(self.source.len() as i64)
    }
}

impl Indexer for JsonMap<'_> {
    fn get<'b, 'v>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        Indexer::get(self.open(), key).or_else(|missing| match self.other_name(key) {
            Some(property) => Indexer::get(self.open(), &CelString::from(property.as_str())),
            None => Err(missing),
        })
    }

    fn steal<'v>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        Indexer::get(&*self, key).map(CowVal::into_owned)
    }
}

impl Sizer for JsonMap<'_> {
    fn size(&self) -> CelInt {
        CelInt::from(self.open().inner().len() as i64)
    }
}

//! The schema as patches and field ownership see it.

use std::sync::{Arc, OnceLock};

use schema::{Field, List, ListKey, ListKind, Map, Node, Object, Strategy, Width};

use super::{Additional, Kind, ListType, Schema};

impl Schema {
    /// The node of a whole object, which has what every object has.
    pub fn root_node(&self) -> Node {
        Node::Object(Arc::new(Object::new(
            "",
            false,
            self.keeps_unknown,
            with_object_fields(self.fields()),
        )))
    }

    fn node(&self) -> Node {
        if self.is_int_or_string {
            return Node::IntOrString;
        }
        match self.kind {
            None => Node::Any,
            Some(Kind::Boolean) => Node::Boolean,
            Some(Kind::Integer) => Node::Integer(Width::Int64),
            Some(Kind::Number) => Node::Number,
            Some(Kind::String) => Node::String,
            Some(Kind::Array) => self.list(),
            Some(Kind::Object) => self.object(),
        }
    }

    fn object(&self) -> Node {
        if self.is_embedded {
            let fields = with_object_fields(self.fields());
            return object(self.is_atomic, self.keeps_unknown, fields);
        }
        match &self.additional {
            Additional::Of(values) => Node::Map(Arc::new(Map {
                values: values.node(),
                atomic: self.is_atomic,
            })),
            Additional::Anything if !self.is_atomic => Node::RawObject,
            Additional::Anything => object(true, true, Vec::new()),
            _ if self.properties.is_empty() && self.keeps_unknown && !self.is_atomic => {
                Node::RawObject
            }
            _ => object(self.is_atomic, self.keeps_unknown, self.fields()),
        }
    }

    fn fields(&self) -> Vec<Field> {
        let properties = self.properties.iter();
        properties
            .map(|(name, schema)| field(name, schema.node()))
            .collect()
    }

    fn list(&self) -> Node {
        let items = self.items().map_or(Node::Any, Schema::node);
        let kind = match &self.list {
            ListType::Atomic => ListKind::Atomic,
            ListType::Set => ListKind::Set,
            ListType::Map(keys) => ListKind::Map(keys.iter().map(|key| self.key(key)).collect()),
        };
        Node::List(Arc::new(List {
            items,
            kind,
            merge_key: None,
        }))
    }

    fn key(&self, name: &str) -> ListKey {
        let property = self.items().and_then(|items| items.properties.get(name));
        ListKey {
            name: name.into(),
            default: property.and_then(|property| property.default.clone()),
        }
    }
}

fn field(name: &str, node: Node) -> Field {
    Field {
        name: name.into(),
        node,
        required: false,
        strategy: Strategy::default(),
    }
}

fn object(atomic: bool, keeps_unknown: bool, fields: Vec<Field>) -> Node {
    Node::Object(Arc::new(Object::new("", atomic, keeps_unknown, fields)))
}

fn with_object_fields(mut fields: Vec<Field>) -> Vec<Field> {
    fields.retain(|field| !crate::OBJECT_FIELDS.contains(&&*field.name));
    for (name, node) in [
        ("apiVersion", Node::String),
        ("kind", Node::String),
        ("metadata", metadata().clone()),
    ] {
        fields.push(field(name, node));
    }
    fields
}

/// The metadata of any object.
pub fn metadata() -> &'static Node {
    static METADATA: OnceLock<Node> = OnceLock::new();
    METADATA.get_or_init(|| {
        let any_kind = schema::of("", "v1", "ConfigMap").expect("a built-in kind");
        any_kind
            .child("metadata")
            .expect("every kind has metadata")
            .clone()
    })
}

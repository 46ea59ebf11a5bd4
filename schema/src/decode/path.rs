//! Where in a document the decoder stands; costs nothing until it is printed.

use std::fmt::{self, Display, Write};

use crate::node::{Node, Object};

#[derive(Clone, Copy)]
pub(crate) enum Path<'a> {
    Root,
    /// A field of a struct.
    Field(&'a Path<'a>, &'a Object, &'a str),
    /// An entry of a map, or of an object of unknown type.
    Key(&'a Path<'a>, &'a str),
    Item(&'a Path<'a>, usize),
}

impl Path<'_> {
    /// `PodSpec.spec.hostNetwork`: the innermost struct and the field names to
    /// here, as Go's decoder names a place. `None` outside any struct.
    pub(super) fn go_field(&self) -> Option<String> {
        let mut names = Vec::new();
        let mut innermost = None;
        let mut here = self;
        loop {
            here = match here {
                Path::Root => break,
                Path::Field(parent, object, name) => {
                    innermost.get_or_insert_with(|| short_name(object.name()));
                    names.push(*name);
                    parent
                }
                Path::Key(parent, _) | Path::Item(parent, _) => parent,
            };
        }
        names.reverse();
        innermost.map(|object| format!("{object}.{}", names.join(".")))
    }
}

impl Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Item(parent, at) => write!(f, "{parent}[{at}]"),
            Self::Field(parent, _, name) | Self::Key(parent, name) => {
                if !matches!(parent, Self::Root) {
                    write!(f, "{parent}")?;
                    f.write_char('.')?;
                }
                f.write_str(name)
            }
        }
    }
}

/// `PodSpec` of `io.k8s.api.core.v1.PodSpec`.
fn short_name(definition: &str) -> &str {
    definition.rsplit('.').next().unwrap_or(definition)
}

/// The Go type that a node stands for: `[]v1.Container`, `int32`.
pub(super) fn go_type(node: &Node) -> String {
    match node {
        Node::Object(object) => {
            let mut parts = object.name().rsplit('.');
            match (parts.next(), parts.next()) {
                (Some(name), Some(package)) => format!("{package}.{name}"),
                _ => "map[string]interface {}".to_owned(),
            }
        }
        Node::Map(map) if matches!(map.values, Node::Quantity) => "v1.ResourceList".to_owned(),
        Node::Map(map) => format!("map[string]{}", go_type(&map.values)),
        Node::List(list) => format!("[]{}", go_type(&list.items)),
        Node::String | Node::Time | Node::MicroTime => "string".to_owned(),
        Node::Bytes => "[]uint8".to_owned(),
        Node::Integer(crate::Width::Int32) | Node::IntOrString => "int32".to_owned(),
        Node::Integer(crate::Width::Int64) => "int64".to_owned(),
        Node::Number => "float64".to_owned(),
        Node::Boolean => "bool".to_owned(),
        Node::Quantity => "resource.Quantity".to_owned(),
        Node::RawObject | Node::Any => "runtime.RawExtension".to_owned(),
    }
}

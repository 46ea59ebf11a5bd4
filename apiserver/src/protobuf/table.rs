//! The messages of the API, read from `messages.txt` on first use.

use std::collections::HashMap;
use std::sync::OnceLock;

const TEXT: &str = include_str!("messages.txt");

/// Messages by name: `core.v1.Pod`.
type Table = HashMap<&'static str, Message>;

#[derive(Debug, Default)]
pub struct Message {
    /// Sorted by number.
    fields: Vec<Field>,
}

#[derive(Debug)]
pub struct Field {
    pub number: u32,
    /// Its name in JSON.
    pub name: &'static str,
    pub of: Type,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Type {
    String,
    Int,
    Bool,
    Bytes,
    Double,
    Message(&'static str),
    /// A message whose fields JSON has in the one around it.
    Inline(&'static str),
    List(Box<Type>),
    Map(Box<Type>),
    Quantity,
    IntOrString,
    Time,
    MicroTime,
    /// JSON inside.
    Raw,
    Duration,
    /// A list of texts in a message.
    Items,
}

impl Message {
    pub fn field(&self, number: u32) -> Option<&Field> {
        let at = self
            .fields
            .binary_search_by_key(&number, |f| f.number)
            .ok()?;
        self.fields.get(at)
    }
}

pub fn message(name: &str) -> Option<&'static Message> {
    table().get(name)
}

/// The message of a kind.
pub fn find(api_version: &str, kind: &str) -> Option<&'static Message> {
    let (group, version) = api_version.split_once('/').unwrap_or(("core", api_version));
    let group = group.split('.').next().unwrap_or(group);
    // Options of deletes are of every group.
    let own = message(&format!("{group}.{version}.{kind}"));
    own.or_else(|| message(&format!("meta.v1.{kind}")))
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| read(TEXT).expect("the built-in table reads: a test holds it to that"))
}

fn read(text: &'static str) -> Option<Table> {
    let mut table = Table::new();
    let mut current = "";
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix("message ") {
            current = name;
            table.insert(name, Message::default());
            continue;
        }
        let mut words = line.split(' ');
        let (number, name, of) = (words.next()?, words.next()?, words.next()?);
        let field = Field {
            number: number.parse().ok()?,
            name,
            of: type_of(of),
        };
        table.get_mut(current)?.fields.push(field);
    }
    for message in table.values_mut() {
        message.fields.sort_by_key(|field| field.number);
    }
    Some(table)
}

fn type_of(text: &'static str) -> Type {
    if let Some(item) = text.strip_prefix("[]") {
        return Type::List(Box::new(type_of(item)));
    }
    if let Some(item) = text.strip_prefix("map:") {
        return Type::Map(Box::new(type_of(item)));
    }
    if let Some(name) = text.strip_prefix("inline:") {
        return Type::Inline(name);
    }
    match text {
        "string" => Type::String,
        "int" => Type::Int,
        "bool" => Type::Bool,
        "bytes" => Type::Bytes,
        "double" => Type::Double,
        "quantity" => Type::Quantity,
        "intorstring" => Type::IntOrString,
        "time" => Type::Time,
        "microtime" => Type::MicroTime,
        "raw" => Type::Raw,
        "duration" => Type::Duration,
        "items" => Type::Items,
        name => Type::Message(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_reads() {
        assert!(read(TEXT).is_some_and(|table| table.len() > 300));
    }

    #[test]
    fn kinds_are_found_by_group_and_options_in_any() {
        assert!(find("v1", "Pod").is_some());
        assert!(find("rbac.authorization.k8s.io/v1", "ClusterRole").is_some());
        assert!(find("apps/v1", "DeleteOptions").is_some());
        assert!(find("apps/v1", "Nothing").is_none());
    }
}

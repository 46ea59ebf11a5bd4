//! The functions there are, as the checker knows them: `signatures.txt`, read once.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use crate::types::Type;

/// One overload. A receiver is the first argument.
#[derive(Debug)]
pub struct Signature {
    pub is_member: bool,
    pub args: Vec<Type>,
    pub result: Type,
}

#[derive(Default)]
struct Functions {
    by_name: BTreeMap<String, Vec<Signature>>,
    /// Functions that charge for what they do.
    paying: Vec<String>,
}

static FUNCTIONS: LazyLock<Functions> = LazyLock::new(|| read(include_str!("signatures.txt")));

/// The overloads of a function, called on a receiver or not.
pub fn find(name: &str, is_member: bool) -> Vec<&'static Signature> {
    let all = FUNCTIONS.by_name.get(name).map_or(&[][..], Vec::as_slice);
    all.iter().filter(|s| s.is_member == is_member).collect()
}

pub fn is_function(name: &str) -> bool {
    FUNCTIONS.by_name.contains_key(name)
}

/// The function charges for what it does by itself.
pub fn pays_itself(name: &str) -> bool {
    FUNCTIONS.paying.iter().any(|paying| paying == name)
}

/// Names of types are values too: `type(x) == int`.
pub fn is_type(name: &str) -> bool {
    const TYPES: [&str; 15] = [
        "bool",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "list",
        "map",
        "null_type",
        "type",
        "optional_type",
        "google.protobuf.Timestamp",
        "google.protobuf.Duration",
        "net.IP",
        "net.CIDR",
    ];
    TYPES.contains(&name)
}

fn read(table: &str) -> Functions {
    let mut functions = Functions::default();
    let lines = table.lines().map(str::trim);
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, signature, pays) = read_line(line).expect("signatures.txt is well formed");
        if pays && !functions.paying.contains(&name) {
            functions.paying.push(name.clone());
        }
        functions.by_name.entry(name).or_default().push(signature);
    }
    functions
}

/// `[$] [receiver ->] name(args) result`: `$` marks what charges by itself.
fn read_line(line: &str) -> Option<(String, Signature, bool)> {
    let (pays, line) = match line.strip_prefix("$ ") {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let (receiver, call) = match line.split_once(" -> ") {
        Some((receiver, call)) => (Some(receiver), call),
        None => (None, line),
    };
    let (name, rest) = call.split_once('(')?;
    let (args, result) = rest.rsplit_once(") ")?;
    let mut kinds = Vec::new();
    kinds.extend(receiver.map(read_type));
    kinds.extend(split(args).map(read_type));
    let signature = Signature {
        is_member: receiver.is_some(),
        args: kinds.into_iter().collect::<Option<_>>()?,
        result: read_type(result)?,
    };
    Some((name.to_owned(), signature, pays))
}

/// The parts between commas that are in no brackets.
fn split(list: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    let parts = list.split(move |sign| {
        match sign {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        sign == ',' && depth == 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty())
}

fn read_type(text: &str) -> Option<Type> {
    if let Some((name, inner)) = text.split_once('(') {
        let mut inner = split(inner.strip_suffix(')')?).map(read_type);
        let first = Arc::new(inner.next()??);
        return Some(match name {
            "list" => Type::List(first),
            "optional" => Type::Optional(first),
            "map" => Type::Map(first, Arc::new(inner.next()??)),
            _ => return None,
        });
    }
    Some(match text {
        "dyn" => Type::Dyn,
        "null" => Type::Null,
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "timestamp" => Type::Timestamp,
        "duration" => Type::Duration,
        "type" => Type::Type,
        "A" => Type::Parameter('A'),
        "B" => Type::Parameter('B'),
        _ => Type::Opaque(opaque(text)?),
    })
}

fn opaque(text: &str) -> Option<&'static str> {
    use super::kinds;
    let known = [
        ("Quantity", kinds::QUANTITY),
        ("IP", kinds::IP),
        ("CIDR", kinds::CIDR),
        ("URL", kinds::URL),
        ("Format", kinds::FORMAT),
        ("Semver", kinds::SEMVER),
        ("Authorizer", kinds::AUTHORIZER),
        ("PathCheck", kinds::PATH_CHECK),
        ("GroupCheck", kinds::GROUP_CHECK),
        ("ResourceCheck", kinds::RESOURCE_CHECK),
        ("Decision", kinds::DECISION),
    ];
    known
        .iter()
        .find(|(short, _)| *short == text)
        .map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read() {
        let split = find("split", true);
        assert_eq!(split.len(), 2);
        assert_eq!(split[0].args, [Type::String, Type::String]);
        assert_eq!(split[0].result, Type::list(Type::String));
        assert!(is_function("sets.contains"));
        assert!(pays_itself("replace"));
        assert!(!pays_itself("startsWith"));
    }
}

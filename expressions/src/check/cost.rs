//! The most a call costs, given how large its arguments can be.

use crate::types::Type;

/// What a value of unknown size is taken for: a dynamic one has no limit of its own.
const UNKNOWN: u64 = 1 << 20;
/// Types nest no deeper than this when their values are added up.
const MAX_DEPTH: usize = 32;

/// The most elements a loop over a value of this type goes through.
pub fn elements(range: &Type) -> u64 {
    range.bound().unwrap_or(UNKNOWN)
}

/// The cost of the call itself, its arguments being there.
pub fn of_call(name: &str, given: &[&Type]) -> u64 {
    match name {
        "_&&_" | "_||_" => 0,
        "size" | "optional.of" | "value" | "hasValue" | "orValue" | "or" | "_[_]" | "_[?_]"
        | "dyn" | "type" => 1,
        "_==_" | "_!=_" => 1 + given.iter().map(|kind| walk(kind)).min().unwrap_or(0),
        "@in" => match given {
            [_, list] if matches!(list.plain(), Type::List(_)) => 1 + walk(list),
            _ => 1,
        },
        "matches" | "find" | "findAll" => match given {
            [text, pattern, ..] => {
                let text = elements(text) / 10 + 1;
                text.saturating_mul(elements(pattern) / 4 + 1)
            }
            _ => 1,
        },
        "contains" | "indexOf" | "lastIndexOf" => match given {
            [text, part, ..] if *text.plain() == Type::String => {
                (elements(text) / 10 + 1).saturating_mul(elements(part) / 10 + 1)
            }
            [list, ..] => 1 + walk(list),
            _ => 1,
        },
        "sets.contains" | "sets.equivalent" | "sets.intersects" => match given {
            [a, b] => elements(a).saturating_mul(elements(b)).saturating_add(1),
            _ => 1,
        },
        "allowed" | "reason" | "check" => 350_000,
        _ => {
            let all = given.iter().map(|kind| walk(kind));
            all.fold(1, u64::saturating_add)
        }
    }
}

/// The result's type with what is known of its size.
pub fn bounded(name: &str, kind: Type, given: &[&Type]) -> Type {
    let has_size = matches!(
        kind,
        Type::String | Type::Bytes | Type::List(_) | Type::Map(..)
    );
    if !has_size {
        return kind;
    }
    let of_arguments = given.iter().filter_map(|kind| kind.bound());
    let most = match name {
        "quote" | "strings.quote" => of_arguments.fold(2_u64, |sum, most| {
            sum.saturating_add(most.saturating_mul(2))
        }),
        "replace" | "join" | "format" => of_arguments.fold(1, u64::saturating_mul),
        "string" => of_arguments.fold(32, u64::saturating_add),
        _ => of_arguments.fold(0, u64::saturating_add),
    };
    kind.at_most(most.max(1))
}

/// Going through a whole value of this type.
fn walk(kind: &Type) -> u64 {
    walk_within(kind, MAX_DEPTH)
}

fn walk_within(kind: &Type, depth: usize) -> u64 {
    let Some(depth) = depth.checked_sub(1) else {
        return UNKNOWN;
    };
    match kind.plain() {
        Type::String | Type::Bytes => elements(kind) / 10,
        Type::List(item) => {
            let each = walk_within(item, depth).max(1);
            elements(kind).saturating_mul(each)
        }
        Type::Map(key, value) => {
            let each = walk_within(key, depth).saturating_add(walk_within(value, depth));
            elements(kind).saturating_mul(each.max(1))
        }
        Type::Object(object) => {
            let fields = object.fields.values();
            fields.fold(0, |sum, field| {
                sum.saturating_add(walk_within(field, depth))
            })
        }
        Type::Optional(inner) => walk_within(inner, depth),
        Type::Dyn => UNKNOWN / 10,
        _ => 0,
    }
}

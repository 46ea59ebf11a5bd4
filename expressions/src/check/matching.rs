//! Which overload fits, and what two types have in common.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::library::signatures::Signature;
use crate::types::Type;

/// The result of the overloads that fit these arguments: `dyn` when they disagree, nothing
/// when there is none.
pub fn resolve(overloads: &[&Signature], given: &[&Type]) -> Option<Type> {
    let mut result: Option<Type> = None;
    for overload in overloads {
        let Some(kind) = apply(overload, given) else {
            continue;
        };
        result = Some(match result {
            None => kind,
            Some(known) if known == kind => known,
            Some(_) => return Some(Type::Dyn),
        });
        // Several can only fit where something is dynamic.
        if !given.iter().any(|kind| *kind.plain() == Type::Dyn) {
            break;
        }
    }
    result
}

fn apply(signature: &Signature, given: &[&Type]) -> Option<Type> {
    if signature.args.len() != given.len() {
        return None;
    }
    let mut bound = BTreeMap::new();
    let mut pairs = signature.args.iter().zip(given);
    pairs
        .all(|(formal, actual)| fits(formal, actual, &mut bound))
        .then(|| substitute(&signature.result, &bound))
}

fn fits(formal: &Type, actual: &Type, bound: &mut BTreeMap<char, Type>) -> bool {
    let actual = match formal {
        Type::Parameter(_) => actual,
        _ => actual.plain(),
    };
    match (formal, actual) {
        (Type::Parameter(name), _) => {
            let known = bound.get(name).cloned().unwrap_or_else(|| actual.clone());
            let both = join(&known, actual);
            both.is_some_and(|both| {
                bound.insert(*name, both);
                true
            })
        }
        (Type::Dyn, _) | (_, Type::Dyn) => true,
        (Type::List(formal), Type::List(actual)) => fits(formal, actual, bound),
        (Type::Optional(formal), Type::Optional(actual)) => fits(formal, actual, bound),
        (Type::Map(k, v), Type::Map(key, value)) => fits(k, key, bound) && fits(v, value, bound),
        _ => formal == actual,
    }
}

fn substitute(kind: &Type, bound: &BTreeMap<char, Type>) -> Type {
    match kind {
        Type::Parameter(name) => bound.get(name).cloned().unwrap_or(Type::Dyn),
        Type::List(item) => Type::list(substitute(item, bound)),
        Type::Optional(inner) => Type::optional(substitute(inner, bound)),
        Type::Map(key, value) => Type::Map(
            Arc::new(substitute(key, bound)),
            Arc::new(substitute(value, bound)),
        ),
        other => other.clone(),
    }
}

/// The type of a value that may be of either type, if there is one.
pub fn join(a: &Type, b: &Type) -> Option<Type> {
    let most = match (a.bound(), b.bound()) {
        (Some(a), Some(b)) => Some(a.max(b)),
        _ => None,
    };
    let kind = match (a.plain(), b.plain()) {
        (a, b) if a == b => a.clone(),
        (Type::Dyn, _) | (_, Type::Dyn) => Type::Dyn,
        // What may be absent can be compared with it.
        (Type::Null, other) | (other, Type::Null) => other.clone(),
        (Type::List(a), Type::List(b)) => Type::list(join(a, b)?),
        (Type::Optional(a), Type::Optional(b)) => Type::optional(join(a, b)?),
        (Type::Map(k, v), Type::Map(l, w)) => {
            Type::Map(Arc::new(join(k, l)?), Arc::new(join(v, w)?))
        }
        // A literal stands for an object of the same shape.
        (Type::Map(..), Type::Object(_)) | (Type::Object(_), Type::Map(..)) => Type::Dyn,
        (Type::Object(_), Type::Object(_)) => Type::Dyn,
        _ => return None,
    };
    Some(match most {
        Some(most) => kind.at_most(most),
        None => kind,
    })
}

/// A program of this type gives what is wanted. `dyn` does not say that it does.
pub fn is_acceptable(result: &Type, wanted: &Type) -> bool {
    match (result.plain(), wanted.plain()) {
        (_, Type::Dyn) => true,
        (Type::Dyn, _) => false,
        (Type::List(a), Type::List(b)) => *a.plain() == Type::Dyn || is_acceptable(a, b),
        (Type::Map(_, a), Type::Map(_, b)) => *a.plain() == Type::Dyn || is_acceptable(a, b),
        // What is built is a map, whatever it is called.
        (Type::Map(key, _), Type::Object(object)) => {
            object.fields.is_empty() && matches!(key.plain(), Type::String | Type::Dyn)
        }
        (a, b) => a == b,
    }
}

//! Functions on text that can make much out of little: they pay for what they make first.

use cel::common::types::{CelString, INT_TYPE, LIST_TYPE, STRING_TYPE};
use cel::common::value::Val;
use cel::{DeclarationError, Env, ExecutionError};

use super::args::{Args, Outcome, elements, failure, global, int, member, of_list, of_text, text};
use crate::meter::{charge, charge_text};

pub fn register(env: &mut Env) -> Result<(), DeclarationError> {
    let two = || vec![STRING_TYPE, STRING_TYPE];
    member(env, "@replace", STRING_TYPE, two(), replace)?;
    let three = vec![STRING_TYPE, STRING_TYPE, INT_TYPE];
    member(env, "@replace", STRING_TYPE, three, replace)?;
    member(env, "@split", STRING_TYPE, vec![STRING_TYPE], split)?;
    member(
        env,
        "@split",
        STRING_TYPE,
        vec![STRING_TYPE, INT_TYPE],
        split,
    )?;
    member(env, "@join", LIST_TYPE, vec![], join)?;
    member(env, "@join", LIST_TYPE, vec![STRING_TYPE], join)?;
    // A key as JSON pointers write it.
    global(env, "jsonpatch.escapeKey", vec![STRING_TYPE], |args| {
        of_text(text(&args, 0)?.replace('~', "~0").replace('/', "~1"))
    })
}

/// The most replacements or parts; below zero is no limit.
fn limit(args: &Args<'_, '_>, place: usize) -> Result<usize, ExecutionError> {
    if args.len() <= place {
        return Ok(usize::MAX);
    }
    Ok(usize::try_from(int(args, place)?).unwrap_or(usize::MAX))
}

fn replace<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let (text, old, new) = (text(&args, 0)?, text(&args, 1)?, text(&args, 2)?);
    let limit = limit(&args, 3)?;
    charge_text(text.len())?;
    let found = text.matches(old).take(limit).count();
    charge_text(text.len().saturating_add(found.saturating_mul(new.len())))?;
    of_text(text.replacen(old, new, limit))
}

fn split<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let (text, separator) = (text(&args, 0)?, text(&args, 1)?);
    let limit = limit(&args, 2)?;
    charge_text(text.len())?;
    if limit == 0 {
        return of_list(Vec::new());
    }
    let mut parts: Vec<Box<dyn Val + 'v>> = Vec::new();
    let mut push = |part: &str| {
        charge_text(part.len())?;
        parts.push(Box::new(CelString::from(part.to_owned())));
        Ok::<_, ExecutionError>(())
    };
    if separator.is_empty() {
        let mut rest = text;
        for (made, sign) in text.chars().enumerate() {
            if made + 1 == limit {
                break;
            }
            push(&rest[..sign.len_utf8()])?;
            rest = &rest[sign.len_utf8()..];
        }
        if !rest.is_empty() {
            push(rest)?;
        }
    } else {
        for part in text.splitn(limit, separator) {
            push(part)?;
        }
    }
    of_list(parts)
}

fn join<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let separator = if args.len() > 1 { text(&args, 1)? } else { "" };
    let mut joined = String::new();
    for (place, item) in elements(&args, 0)?.into_iter().enumerate() {
        let item = item.downcast_ref::<CelString>().map(CelString::inner);
        let item = item.ok_or_else(|| failure("join", "no such overload"))?;
        charge_text(item.len())?;
        if place > 0 {
            charge(separator.len() as u64 / 10)?;
            joined.push_str(separator);
        }
        joined.push_str(item);
    }
    of_text(joined)
}

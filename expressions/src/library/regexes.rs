//! `matches`, `find`, `findAll`: RE2's expressions, run by the `regex` crate.
//!
//! Matching takes time in proportion to the text and the expression, never more. Compiling
//! is bounded by the size of what comes out, paid for, and done once for as long as the
//! expression is in use.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use cel::common::types::{CelString, INT_TYPE, STRING_TYPE};
use cel::common::value::Val;
use cel::{DeclarationError, Env, ExecutionError};
use regex::{Regex, RegexBuilder};

use super::args::{Args, Outcome, failure, global, int, member, of_bool, of_list, of_text, text};
use crate::meter::{charge, charge_text};

/// Compiled expressions that are kept.
const KEPT: usize = 256;
/// What a compiled expression may take.
const MAX_COMPILED: usize = 1 << 18;
const MAX_NESTING: u32 = 50;
const COMPILE_COST: u64 = 5_000;

static COMPILED: LazyLock<Mutex<HashMap<String, Regex>>> = LazyLock::new(Mutex::default);

pub fn register(env: &mut Env) -> Result<(), DeclarationError> {
    global(env, "@matches", vec![STRING_TYPE, STRING_TYPE], matches)?;
    member(env, "@matches", STRING_TYPE, vec![STRING_TYPE], matches)?;
    member(env, "find", STRING_TYPE, vec![STRING_TYPE], find)?;
    member(env, "findAll", STRING_TYPE, vec![STRING_TYPE], find_all)?;
    member(
        env,
        "findAll",
        STRING_TYPE,
        vec![STRING_TYPE, INT_TYPE],
        find_all,
    )
}

/// The expression is one; a program that has it written out pays for matching only.
pub fn is_valid(pattern: &str) -> bool {
    compile(pattern).map(|regex| keep(pattern, regex)).is_ok()
}

fn keep(pattern: &str, regex: Regex) {
    let mut kept = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() >= KEPT {
        kept.clear();
    }
    kept.insert(pattern.to_owned(), regex);
}

fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(&translate(pattern))
        .size_limit(MAX_COMPILED)
        .dfa_size_limit(MAX_COMPILED)
        .nest_limit(MAX_NESTING)
        .build()
}

/// The expression the second argument is, with the search of the first paid for.
fn prepared(args: &Args<'_, '_>) -> Result<Regex, ExecutionError> {
    let (text, pattern) = (text(args, 0)?, text(args, 1)?);
    let work = (text.len() as u64 / 10 + 1).saturating_mul(pattern.len() as u64 / 4 + 1);
    charge(work)?;
    let known = {
        let kept = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(pattern).cloned()
    };
    if let Some(regex) = known {
        return Ok(regex);
    }
    charge(COMPILE_COST + 100 * pattern.len() as u64)?;
    let regex = compile(pattern).map_err(|error| {
        let why = error.to_string();
        let why = why.lines().last().unwrap_or("");
        let why = why.trim_start_matches("error: ");
        failure("matches", format!("error parsing regexp: {why}"))
    })?;
    keep(pattern, regex.clone());
    Ok(regex)
}

fn matches<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let regex = prepared(&args)?;
    of_bool(regex.is_match(text(&args, 0)?))
}

fn find<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let regex = prepared(&args)?;
    let found = regex.find(text(&args, 0)?);
    of_text(found.map_or("", |found| found.as_str()))
}

fn find_all<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let regex = prepared(&args)?;
    let limit = match args.len() {
        3 => usize::try_from(int(&args, 2)?).unwrap_or(usize::MAX),
        _ => usize::MAX,
    };
    let mut all: Vec<Box<dyn Val + 'v>> = Vec::new();
    for found in regex.find_iter(text(&args, 0)?).take(limit) {
        charge_text(found.len())?;
        all.push(Box::new(CelString::from(found.as_str().to_owned())));
    }
    of_list(all)
}

/// RE2's classes are ASCII's, and a bracket within brackets is a bracket.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut signs = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(sign) = signs.next() {
        match sign {
            '\\' => match signs.next() {
                Some('d') => out.push_str("[0-9]"),
                Some('D') => out.push_str("[^0-9]"),
                Some('w') => out.push_str("[0-9A-Za-z_]"),
                Some('W') => out.push_str("[^0-9A-Za-z_]"),
                Some('s') => out.push_str("[\\t\\n\\f\\r ]"),
                Some('S') => out.push_str("[^\\t\\n\\f\\r ]"),
                Some('b') if !in_class => out.push_str("(?-u:\\b)"),
                Some('B') if !in_class => out.push_str("(?-u:\\B)"),
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            '[' if in_class && signs.peek() == Some(&':') => out.push('['),
            '[' if in_class => out.push_str("\\["),
            '[' => {
                in_class = true;
                out.push('[');
                if signs.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                if signs.next_if_eq(&']').is_some() {
                    out.push_str("\\]");
                }
            }
            ':' if in_class && signs.peek() == Some(&']') && is_in_named(&out) => {
                signs.next();
                out.push_str(":]");
            }
            ']' => {
                in_class = false;
                out.push(']');
            }
            '&' | '~' if in_class => out.extend(['\\', sign]),
            '-' if in_class && signs.peek() == Some(&'-') => out.push_str("\\-"),
            _ => out.push(sign),
        }
    }
    out
}

/// Within `[:alpha:]`: its end is not that of the class.
fn is_in_named(before: &str) -> bool {
    let letters = before.trim_end_matches(|c: char| c.is_ascii_lowercase());
    letters.ends_with("[:") || letters.ends_with("[:^")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_ascii_as_in_re2() {
        for (pattern, text, is_match) in [
            (r"^\d+$", "12", true),
            (r"^\d+$", "٣", false),
            (r"^[\d.]+$", "1.2", true),
            (r"^[^\s]+$", "ab", true),
            (r"^[[]x$", "[x", true),
            (r"^[[:alpha:]_]+$", "ab_", true),
            (r"^[^[:alpha:]]+$", "12", true),
            (r"^[]a]+$", "]a", true),
            (r"^[a&&b]+$", "a&b", true),
            (r"\bfoo\b", "a foo b", true),
            (r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "a-b", true),
            (r"^é$", "é", true),
        ] {
            let regex = compile(pattern).expect(pattern);
            assert_eq!(regex.is_match(text), is_match, "{pattern} {text}");
        }
    }

    #[test]
    fn what_would_take_too_much_memory_is_refused() {
        assert!(!is_valid("((a{100}){100}){100}"));
        assert!(!is_valid(&"(".repeat(1000)));
        assert!(!is_valid("(?=a)"));
    }
}

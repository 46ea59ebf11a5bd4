//! From text to a path.

use serde_json::Value;

use super::{Filter, JsonPath, Malformed, Operand, Step, Test};

/// As many steps a path has.
const STEPS_MAX: usize = 128;
/// As many of them look at every depth: each finds a field once for every way
/// down to it.
const DEEP_MAX: usize = 2;
/// As deep a filter's path stands in filters.
const NESTED_MAX: usize = 8;

const TESTS: [(&str, Test); 6] = [
    ("==", Test::Equal),
    ("!=", Test::Unequal),
    ("<=", Test::LessOrEqual),
    (">=", Test::GreaterOrEqual),
    ("<", Test::Less),
    (">", Test::Greater),
];

pub(super) fn path(text: &str) -> Result<JsonPath, Malformed> {
    nested(text, 0)
}

/// The path of a filter that stands in `depth - 1` others.
fn nested(text: &str, depth: usize) -> Result<JsonPath, Malformed> {
    if depth > NESTED_MAX {
        return Err(bad("filters nest too deep", text));
    }
    let mut rest = text.strip_prefix('$').unwrap_or(text);
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if steps.len() > STEPS_MAX {
            return Err(bad("too many steps", text));
        }
        if let Some(after) = rest.strip_prefix("..") {
            if steps.iter().filter(|step| **step == Step::Deep).count() == DEEP_MAX {
                return Err(bad("invalid multiple recursive descent", text));
            }
            steps.push(Step::Deep);
            rest = named(after, &mut steps);
        } else if let Some(after) = rest.strip_prefix('.') {
            rest = named(after, &mut steps);
        } else if let Some(after) = rest.strip_prefix('[') {
            let end = closing(after).ok_or_else(|| bad("unterminated array", text))?;
            steps.push(bracket(&after[..end], depth)?);
            rest = &after[end + 1..];
        } else {
            return Err(bad("unrecognized character", rest));
        }
    }
    Ok(JsonPath { steps })
}

fn bad(what: &str, text: &str) -> Malformed {
    Malformed(format!("{what}: {text}"))
}

/// Takes a name up to the next dot or bracket; a backslash takes the next sign as it is.
fn named<'a>(text: &'a str, steps: &mut Vec<Step>) -> &'a str {
    let mut name = String::new();
    let mut chars = text.char_indices();
    let mut end = text.len();
    while let Some((at, c)) = chars.next() {
        match c {
            '.' | '[' => {
                end = at;
                break;
            }
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            other => name.push(other),
        }
    }
    match name.as_str() {
        "" => {}
        "*" => steps.push(Step::All),
        _ => steps.push(Step::Field(name)),
    }
    &text[end..]
}

/// The characters of `text` that no quotes hold and no backslash escapes, and
/// where they are; the quotes are left out too.
pub fn outside_quotes(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut quote = None;
    let mut is_escaped = false;
    text.char_indices().filter(move |&(_, c)| {
        match (quote, c) {
            _ if std::mem::take(&mut is_escaped) => return false,
            (_, '\\') => is_escaped = true,
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, _) => return true,
        }
        false
    })
}

/// The end of what a bracket holds, inner brackets passed over.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in outside_quotes(text) {
        match c {
            '[' => depth += 1,
            ']' if depth == 0 => return Some(at),
            ']' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn bracket(text: &str, depth: usize) -> Result<Step, Malformed> {
    let text = text.trim();
    if let Some(inner) = text.strip_prefix("?(").and_then(|t| t.strip_suffix(')')) {
        return filter(inner, depth).map(|filter| Step::Filter(Box::new(filter)));
    }
    let parts = split(text);
    match parts.as_slice() {
        [one] => selector(one),
        several => several
            .iter()
            .map(|part| selector(part))
            .collect::<Result<_, _>>()
            .map(Step::Several),
    }
}

/// Splits at the commas outside of quotes.
fn split(text: &str) -> Vec<&str> {
    let commas = outside_quotes(text).filter(|(_, c)| *c == ',');
    let mut parts = Vec::new();
    let mut from = 0;
    for (at, _) in commas {
        parts.push(&text[from..at]);
        from = at + 1;
    }
    parts.push(&text[from..]);
    parts
}

fn selector(text: &str) -> Result<Step, Malformed> {
    let text = text.trim();
    if text == "*" {
        return Ok(Step::All);
    }
    if let Some(name) = unquoted(text) {
        return Ok(Step::Field(name));
    }
    let number = |part: &str| match part.trim() {
        "" => Ok(None),
        digits => digits
            .parse()
            .map(Some)
            .map_err(|_| bad("invalid array index", text)),
    };
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        [at] => number(at)?
            .map(Step::Index)
            .ok_or_else(|| bad("invalid array index", text)),
        [from, to] => Ok(Step::Slice {
            from: number(from)?,
            to: number(to)?,
            step: 1,
        }),
        [from, to, step] => Ok(Step::Slice {
            from: number(from)?,
            to: number(to)?,
            step: usize::try_from(number(step)?.unwrap_or(1)).unwrap_or(1),
        }),
        _ => Err(bad("invalid array index", text)),
    }
}

/// What stands in quotes of either kind, if that is all there is.
pub fn unquoted(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    let mut out = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next().map(|escaped| match escaped {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                other => other,
            })),
            other => out.push(other),
        }
    }
    Some(out)
}

fn filter(text: &str, depth: usize) -> Result<Filter, Malformed> {
    for (at, _) in outside_quotes(text) {
        for (sign, test) in TESTS {
            if let Some(right) = text[at..].strip_prefix(sign) {
                return Ok(Filter {
                    left: operand(&text[..at], depth)?,
                    test: Some((test, operand(right, depth)?)),
                });
            }
        }
    }
    Ok(Filter {
        left: operand(text, depth)?,
        test: None,
    })
}

fn operand(text: &str, depth: usize) -> Result<Operand, Malformed> {
    let text = text.trim();
    if let Some(below) = text.strip_prefix('@') {
        return nested(below, depth + 1).map(Operand::Path);
    }
    if let Some(literal) = unquoted(text) {
        return Ok(Operand::Literal(Value::String(literal)));
    }
    match serde_json::from_str(text) {
        Ok(value @ (Value::Bool(_) | Value::Number(_))) => Ok(Operand::Literal(value)),
        _ => Err(bad("unrecognized identifier", text)),
    }
}

//! Reads templates.

use serde_json::Value;

use super::{Compare, Node, Step};

/// Templates nest no deeper than this.
const DEEPEST: usize = 16;

pub fn template(text: &str) -> Result<Vec<Node>, String> {
    // What is open: a range's path, and what is in it so far.
    let mut open: Vec<(Vec<Step>, Vec<Node>)> = vec![(Vec::new(), Vec::new())];
    let mut rest = text;
    while !rest.is_empty() {
        let Some(at) = rest.find('{') else {
            push(&mut open, Node::Text(rest.to_owned()));
            break;
        };
        if at > 0 {
            push(&mut open, Node::Text(rest[..at].to_owned()));
        }
        let inner = &rest[at + 1..];
        let end = action_end(inner)
            .ok_or_else(|| format!("error parsing jsonpath {text}, unclosed action"))?;
        action(inner[..end].trim(), &mut open)?;
        rest = &inner[end + 1..];
    }
    match open.len() {
        1 => Ok(open.remove(0).1),
        _ => Err(format!(
            "error parsing jsonpath {text}, range without {{end}}"
        )),
    }
}

fn push(open: &mut [(Vec<Step>, Vec<Node>)], node: Node) {
    if let Some((_, nodes)) = open.last_mut() {
        nodes.push(node);
    }
}

/// Where the action's closing brace is, which may also stand in its quotes.
fn action_end(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut is_escaped = false;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if std::mem::take(&mut is_escaped) => {}
            (_, '\\') => is_escaped = true,
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '}') => return Some(at),
            _ => {}
        }
    }
    None
}

fn action(text: &str, open: &mut Vec<(Vec<Step>, Vec<Node>)>) -> Result<(), String> {
    if text == "end" {
        let (range, body) = open.pop().unwrap_or_default();
        if open.is_empty() {
            return Err("error parsing jsonpath, {end} without a range".into());
        }
        push(open, Node::Range(range, body));
        return Ok(());
    }
    if let Some(range) = text.strip_prefix("range ") {
        if open.len() > DEEPEST {
            return Err("error parsing jsonpath, ranges nest too deep".into());
        }
        open.push((path(range.trim())?, Vec::new()));
        return Ok(());
    }
    if text.starts_with(['"', '\'']) {
        push(open, Node::Text(literal(text)?));
        return Ok(());
    }
    let steps = path(text)?;
    push(open, Node::Path(steps));
    Ok(())
}

fn literal(text: &str) -> Result<String, String> {
    let inner = text
        .strip_prefix(['"', '\''])
        .and_then(|t| t.strip_suffix(['"', '\'']))
        .ok_or_else(|| format!("unterminated quoted string {text}"))?;
    let mut out = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some(other) => out.push(other),
                None => {}
            },
            other => out.push(other),
        }
    }
    Ok(out)
}

/// `.a.b[0]`, after `$` or `@` or nothing.
pub fn path(text: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut rest = text.strip_prefix(['$', '@']).unwrap_or(text);
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("..") {
            steps.push(Step::Below);
            rest = field(after, &mut steps);
        } else if let Some(after) = rest.strip_prefix('.') {
            rest = field(after, &mut steps);
        } else if let Some(after) = rest.strip_prefix('[') {
            let end = bracket_end(after).ok_or_else(|| format!("unterminated array in {text}"))?;
            subscript(after[..end].trim(), &mut steps)?;
            rest = &after[end + 1..];
        } else if steps.is_empty() {
            rest = field(rest, &mut steps);
        } else {
            return Err(format!("unrecognized {rest:?} in jsonpath {text}"));
        }
    }
    Ok(steps)
}

/// Takes a field's name, in which a backslash makes a dot part of it.
fn field<'a>(text: &'a str, steps: &mut Vec<Step>) -> &'a str {
    let mut name = String::new();
    let mut is_escaped = false;
    let mut end = text.len();
    for (at, c) in text.char_indices() {
        match c {
            _ if std::mem::take(&mut is_escaped) => name.push(c),
            '\\' => is_escaped = true,
            '.' | '[' => {
                end = at;
                break;
            }
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

fn bracket_end(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    None
}

fn subscript(text: &str, steps: &mut Vec<Step>) -> Result<(), String> {
    if text == "*" {
        steps.push(Step::All);
    } else if let Some(condition) = text.strip_prefix("?(").and_then(|t| t.strip_suffix(')')) {
        steps.push(filter(condition)?);
    } else if text.starts_with(['"', '\'']) {
        steps.push(names(text)?);
    } else if let Some((from, to)) = text.split_once(':') {
        steps.push(Step::Slice(bound(from)?, bound(to)?));
    } else {
        let index = text
            .parse()
            .map_err(|_| format!("invalid array index {text}"))?;
        steps.push(Step::Index(index));
    }
    Ok(())
}

/// `'a'` or `'a','b'`.
fn names(text: &str) -> Result<Step, String> {
    let names: Result<Vec<_>, _> = text.split(',').map(|name| literal(name.trim())).collect();
    let mut names = names?;
    Ok(match names.len() {
        1 => Step::Field(names.remove(0)),
        _ => Step::Fields(names),
    })
}

fn bound(text: &str) -> Result<Option<i64>, String> {
    match text.trim() {
        "" => Ok(None),
        number => number
            .parse()
            .map(Some)
            .map_err(|_| format!("invalid array index {number}")),
    }
}

fn filter(condition: &str) -> Result<Step, String> {
    let operators = [
        ("==", Compare::Equal),
        ("!=", Compare::Unequal),
        ("<=", Compare::AtMost),
        (">=", Compare::AtLeast),
        ("<", Compare::Less),
        (">", Compare::More),
    ];
    for (operator, compare) in operators {
        if let Some((left, right)) = condition.split_once(operator) {
            return Ok(Step::Filter(
                path(left.trim())?,
                compare,
                wanted(right.trim())?,
            ));
        }
    }
    path(condition.trim()).map(Step::Exists)
}

fn wanted(text: &str) -> Result<Value, String> {
    if text.starts_with(['"', '\'']) {
        return literal(text).map(Value::String);
    }
    serde_json::from_str(text).map_err(|_| format!("{text:?} is no value to compare with"))
}

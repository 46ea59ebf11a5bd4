//! YAML as kubectl prints it, so that the two can be compared line by line:
//! keys sorted, lists not indented, strings quoted where a reader of YAML 1.1
//! would take them for something else, long lines folded.

use std::fmt::Write as _;

use serde_json::Value;

/// Scalars are folded at the first blank beyond this column.
const WIDTH: usize = 80;

/// One document, with a line break at its end.
pub fn document(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(fields) if !fields.is_empty() => block(&mut out, value, 0),
        Value::Array(items) if !items.is_empty() => block(&mut out, value, 0),
        scalar => {
            inline(&mut out, scalar, 0);
            out.push('\n');
        }
    }
    out
}

/// A map or list that is not empty, each entry on lines of its own.
fn block(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(fields) => {
            for (at, (key, value)) in fields.iter().enumerate() {
                // The first stands where its list's dash left off.
                if at > 0 || !out.ends_with("- ") {
                    indent(out, depth);
                }
                key_text(out, key);
                out.push(':');
                entry(out, value, depth, depth);
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                if at > 0 || !out.ends_with("- ") {
                    indent(out, depth);
                }
                out.push('-');
                list_item(out, item, depth);
            }
        }
        _ => {}
    }
}

fn entry(out: &mut String, value: &Value, depth: usize, list_depth: usize) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            out.push('\n');
            block(out, value, depth + 1);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            block(out, value, list_depth);
        }
        scalar => {
            out.push(' ');
            inline(out, scalar, depth + 1);
            out.push('\n');
        }
    }
}

fn list_item(out: &mut String, item: &Value, depth: usize) {
    out.push(' ');
    let is_filled = match item {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if is_filled {
        block(out, item, depth + 1);
    } else {
        inline(out, item, depth + 1);
        out.push('\n');
    }
}

fn inline(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(_) => out.push_str("{}"),
        Value::Array(_) => out.push_str("[]"),
        Value::String(text) => string(out, text, depth),
        other => out.push_str(&other.to_string()),
    }
}

fn key_text(out: &mut String, key: &str) {
    // A key is never folded, and never in several lines.
    if key.contains('\n') || needs_escapes(key) || means_something_else(key) {
        quoted(out, key, None);
    } else if is_plain(key) {
        out.push_str(key);
    } else {
        out.push('\'');
        out.push_str(&key.replace('\'', "''"));
        out.push('\'');
    }
}

fn string(out: &mut String, text: &str, depth: usize) {
    let has_blank_before_break = text.contains(" \n");
    if needs_escapes(text) || (text.contains('\n') && has_blank_before_break) {
        quoted(out, text, Some(depth));
    } else if text.contains('\n') {
        literal(out, text, depth);
    } else if means_something_else(text) {
        quoted(out, text, Some(depth));
    } else if is_plain(text) {
        folded(out, text, depth);
    } else {
        out.push('\'');
        folded(out, &text.replace('\'', "''"), depth);
        out.push('\'');
    }
}

/// Text in lines, after `|` and what to do with the breaks at its end.
fn literal(out: &mut String, text: &str, depth: usize) {
    out.push('|');
    if text.starts_with([' ', '\n']) {
        out.push('2');
    }
    if !text.ends_with('\n') {
        out.push('-');
    } else if text.ends_with("\n\n") || text == "\n" {
        out.push('+');
    }
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            indent(out, depth);
            out.push_str(line);
        }
    }
}

fn folded(out: &mut String, text: &str, depth: usize) {
    let mut column = column(out);
    let mut chars = text.chars().peekable();
    let mut last = '\0';
    while let Some(c) = chars.next() {
        let is_inside = last != '\0' && last != ' ' && chars.peek().is_some_and(|c| *c != ' ');
        if c == ' ' && column > WIDTH && is_inside {
            out.push('\n');
            indent(out, depth);
            column = depth * 2;
        } else {
            out.push(c);
            column += 1;
        }
        last = c;
    }
}

fn quoted(out: &mut String, text: &str, fold_at: Option<usize>) {
    out.push('"');
    let mut column = column(out);
    let count = text.chars().count();
    let mut chars = text.chars().enumerate().peekable();
    while let Some((at, c)) = chars.next() {
        let before = out.len();
        match (c, fold_at) {
            (' ', Some(depth)) if column > WIDTH && at > 0 && at + 1 < count => {
                out.push('\n');
                indent(out, depth);
                column = depth * 2;
                // A blank at a line's begin would be taken for indentation.
                if chars.peek().is_some_and(|(_, next)| *next == ' ') {
                    out.push('\\');
                    column += 1;
                }
                continue;
            }
            _ => escape(out, c),
        }
        column += out[before..].chars().count();
    }
    out.push('"');
}

fn escape(out: &mut String, c: char) {
    let named = match c {
        '"' => '"',
        '\\' => '\\',
        '\n' => 'n',
        '\t' => 't',
        '\r' => 'r',
        '\0' => '0',
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\u{b}' => 'v',
        '\u{c}' => 'f',
        '\u{1b}' => 'e',
        '\u{85}' => 'N',
        '\u{a0}' => '_',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        other if is_printable(other) => return out.push(other),
        other => {
            let code = u32::from(other);
            let _ = match code {
                0..=0xff => write!(out, "\\x{code:02X}"),
                0x100..=0xffff => write!(out, "\\u{code:04X}"),
                _ => write!(out, "\\U{code:08X}"),
            };
            return;
        }
    };
    out.push('\\');
    out.push(named);
}

fn needs_escapes(text: &str) -> bool {
    text.chars().any(|c| c != '\n' && !is_printable(c))
}

fn is_printable(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a1}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
        && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// Whether the text can stand without quotes.
fn is_plain(text: &str) -> bool {
    let starts_badly = text.starts_with([
        '#', ',', '[', ']', '{', '}', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`',
    ]) || text.starts_with("---")
        || text.starts_with("...");
    let marks = ["-", "?", ":"];
    let starts_as_mark = marks
        .iter()
        .any(|m| text == *m || text.strip_prefix(m).is_some_and(|t| t.starts_with(' ')));
    let is_broken_inside =
        text.contains(": ") || text.ends_with(':') || text.contains(" #") || text.contains('\n');
    !(text.is_empty()
        || starts_badly
        || starts_as_mark
        || is_broken_inside
        || text.starts_with(' ')
        || text.ends_with(' '))
}

/// Whether YAML 1.1 reads the bare text as another type than a string.
fn means_something_else(text: &str) -> bool {
    let words = [
        "", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n",
    ];
    let is_word = words.iter().any(|word| {
        let mut capital = word.to_string();
        if let Some(first) = capital.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        text == *word || text == capital || text == word.to_uppercase()
    });
    is_word || is_number(text) || is_time(text)
}

fn is_number(text: &str) -> bool {
    let first = text.as_bytes().first().copied().unwrap_or_default();
    if !(first.is_ascii_digit() || b"+-.".contains(&first)) {
        return false;
    }
    let bare = text.replace('_', "");
    let digits = bare.trim_start_matches(['+', '-']);
    let special = [".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"];
    let in_base = |prefix: &str, radix: u32| {
        digits
            .strip_prefix(prefix)
            .is_some_and(|d| !d.is_empty() && d.chars().all(|c| c.is_digit(radix)))
    };
    let has_digit = digits.chars().any(|c| c.is_ascii_digit());
    let is_float = has_digit
        && digits.chars().all(|c| "0123456789.eE+-".contains(c))
        && bare.parse::<f64>().is_ok();
    is_float
        || special.contains(&digits)
        || in_base("0x", 16)
        || in_base("0b", 2)
        || in_base("0o", 8)
        || is_base_60(&bare)
}

/// `12:30:45`, which YAML 1.1 counts in sixties.
fn is_base_60(text: &str) -> bool {
    let mut parts = text.trim_start_matches(['+', '-']).split(':');
    let is_digits =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit() || c == '.');
    parts.next().is_some_and(is_digits)
        && text.contains(':')
        && parts.all(|part| is_digits(part) && part.len() <= 2 || part.contains('.'))
}

fn is_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_date = bytes.len() >= 8
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && bytes[4] == b'-'
        && bytes[5].is_ascii_digit();
    is_date
        && (text.parse::<jiff::Timestamp>().is_ok() || text.parse::<jiff::civil::Date>().is_ok())
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("  ", depth));
}

fn column(out: &str) -> usize {
    let line = out.rsplit('\n').next().unwrap_or_default();
    line.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(text: &str) -> String {
        let out = document(&json!({ "a": text }));
        out.strip_prefix("a: ").unwrap().to_owned()
    }

    #[test]
    fn text_that_reads_as_something_else_is_quoted() {
        for text in [
            "true",
            "n",
            "Yes",
            "null",
            "~",
            "1.5",
            "0x1f",
            "0777",
            "1e3",
            "+1",
            "1_000",
            "12:30:45",
            ".inf",
            "2020-01-01",
            "2020-01-01T00:00:00Z",
            "",
        ] {
            assert_eq!(of(text), format!("\"{text}\"\n"));
        }
        for text in [
            "a b",
            "it's",
            "say \"hi\"",
            "a\\b",
            ".",
            "=",
            "10.0.0.1",
            "a,b",
            "v1",
            "1.2.3",
            "5m",
        ] {
            assert_eq!(of(text), format!("{text}\n"));
        }
        for text in [
            "a: b", "a #b", " x", "x ", "- x", "*x", "{a}", "%x", "@x", "!x", "a:",
        ] {
            assert_eq!(of(text), format!("'{text}'\n"));
        }
    }

    #[test]
    fn text_of_several_lines_keeps_them() {
        assert_eq!(of("a\nb\n"), "|\n  a\n  b\n");
        assert_eq!(of("a\nb"), "|-\n  a\n  b\n");
        assert_eq!(of("a\n\n"), "|+\n  a\n\n");
        assert_eq!(of(" a\nb"), "|2-\n   a\n  b\n");
        assert_eq!(of("a \nb"), "\"a \\nb\"\n");
        assert_eq!(of("a\tb\u{1}"), "\"a\\tb\\x01\"\n");
    }

    #[test]
    fn long_text_is_folded_at_a_blank() {
        let words = ["aaaaaaaaa"; 10].join(" ");
        let text = of(&words);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!(lines[1], "  aaaaaaaaa aaaaaaaaa");
    }

    #[test]
    fn lists_stand_below_their_key_and_empty_ones_beside_it() {
        let object = json!({ "b": [{ "c": 1, "d": [1, 2] }, []], "e": {}, "f": [] });
        assert_eq!(
            document(&object),
            "b:\n- c: 1\n  d:\n  - 1\n  - 2\n- []\ne: {}\nf: []\n"
        );
    }
}

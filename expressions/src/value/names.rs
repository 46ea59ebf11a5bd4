//! Property names that are no identifiers, as expressions write them: `a-b` is
//! `a__dash__b`, `namespace` is `__namespace__`.

use std::borrow::Cow;

const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

const MARKS: [(&str, &str); 4] = [
    ("__underscores__", "__"),
    ("__dot__", "."),
    ("__dash__", "-"),
    ("__slash__", "/"),
];

/// The field name of a property, if expressions can name it at all.
pub fn escape(property: &str) -> Option<Cow<'_, str>> {
    if RESERVED.contains(&property) {
        return Some(Cow::Owned(format!("__{property}__")));
    }
    let first = property.bytes().next()?;
    if !(first.is_ascii_alphabetic() || b"_./-".contains(&first)) {
        return None;
    }
    let mut plain = !property.contains("__");
    for byte in property.bytes() {
        match byte {
            b'.' | b'-' | b'/' => plain = false,
            b'_' => {}
            _ if byte.is_ascii_alphanumeric() => {}
            _ => return None,
        }
    }
    if plain {
        return Some(Cow::Borrowed(property));
    }
    let escaped = MARKS
        .iter()
        .fold(property.to_owned(), |text, (mark, sign)| {
            text.replace(sign, mark)
        });
    Some(Cow::Owned(escaped))
}

/// The property an escaped field names; a name without escapes is itself.
pub fn unescape(field: &str) -> Cow<'_, str> {
    if !field.contains("__") {
        return Cow::Borrowed(field);
    }
    let inner = field.strip_prefix("__").and_then(|f| f.strip_suffix("__"));
    if let Some(word) = inner.filter(|word| RESERVED.contains(word)) {
        return Cow::Owned(word.to_owned());
    }
    let mut property = String::with_capacity(field.len());
    let mut rest = field;
    while !rest.is_empty() {
        match MARKS.iter().find(|(mark, _)| rest.starts_with(mark)) {
            Some((mark, sign)) => {
                property.push_str(sign);
                rest = &rest[mark.len()..];
            }
            None => {
                let end = rest.chars().next().map_or(1, char::len_utf8);
                property.push_str(&rest[..end]);
                rest = &rest[end..];
            }
        }
    }
    Cow::Owned(property)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_as_kubernetes_escapes_them() {
        for (property, field) in [
            ("namespace", "__namespace__"),
            ("x-prop", "x__dash__prop"),
            ("redact__d", "redact__underscores__d"),
            ("foo.bar/baz", "foo__dot__bar__slash__baz"),
            ("string", "string"),
            ("_private", "_private"),
        ] {
            assert_eq!(escape(property).as_deref(), Some(field));
            assert_eq!(unescape(field), property);
        }
    }

    #[test]
    fn a_name_with_other_signs_cannot_be_written() {
        assert_eq!(escape("a b"), None);
        assert_eq!(escape("1a"), None);
        assert_eq!(escape("ä"), None);
        assert_eq!(escape(""), None);
    }
}

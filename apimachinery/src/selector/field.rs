//! Field selectors: `status.phase=Running,spec.nodeName!=a`.

use std::str::FromStr;

use super::Error;

/// Every term must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    pub terms: Vec<FieldTerm>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldTerm {
    pub field: String,
    pub value: String,
    /// False for `!=`.
    pub equal: bool,
}

impl FieldSelector {
    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    /// `value_of` gives an object's value of a field.
    pub fn matches<'a>(&self, value_of: impl Fn(&str) -> std::borrow::Cow<'a, str>) -> bool {
        self.terms
            .iter()
            .all(|term| (value_of(&term.field) == term.value) == term.equal)
    }

    /// The value a field must have, if the selector pins it to one.
    pub fn exact(&self, field: &str) -> Option<&str> {
        let term = self.terms.iter().find(|t| t.equal && t.field == field)?;
        Some(&term.value)
    }
}

impl FromStr for FieldSelector {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut terms = Vec::new();
        for part in split(text).into_iter().filter(|part| !part.is_empty()) {
            let (field, value, equal) = halves(part).ok_or_else(|| {
                Error(format!(
                    "invalid selector: '{text}'; can't understand '{part}'"
                ))
            })?;
            terms.push(FieldTerm {
                field: field.to_owned(),
                value: unescape(value).ok_or_else(|| {
                    Error(format!(
                        "invalid field selector: invalid escape sequence in '{value}'"
                    ))
                })?,
                equal,
            });
        }
        Ok(FieldSelector { terms })
    }
}

/// At commas that no backslash escapes.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn halves(part: &str) -> Option<(&str, &str, bool)> {
    let at = part.find('=')?;
    if let Some(field) = part[..at].strip_suffix('!') {
        return Some((field, &part[at + 1..], false));
    }
    let value = &part[at + 1..];
    Some((&part[..at], value.strip_prefix('=').unwrap_or(value), true))
}

fn unescape(value: &str) -> Option<String> {
    let mut plain = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => plain.push(chars.next().filter(|c| matches!(c, '\\' | ',' | '='))?),
            '=' => return None,
            _ => plain.push(c),
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_equal_or_not_equal_and_commas_can_be_escaped() {
        let selector: FieldSelector = "a=1,b!=2,c==x\\,y".parse().expect("selector");
        let term = |field: &str, value: &str, equal| FieldTerm {
            field: field.to_owned(),
            value: value.to_owned(),
            equal,
        };
        assert_eq!(
            selector.terms,
            [
                term("a", "1", true),
                term("b", "2", false),
                term("c", "x,y", true)
            ]
        );
        assert_eq!(selector.exact("a"), Some("1"));
        assert_eq!(selector.exact("b"), None);
    }

    #[test]
    fn a_term_without_an_operator_is_refused() {
        assert_eq!(
            "metadata.name".parse::<FieldSelector>().map_err(|e| e.0),
            Err("invalid selector: 'metadata.name'; can't understand 'metadata.name'".to_owned())
        );
    }
}

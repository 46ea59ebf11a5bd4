//! A look at the text before the parser: how deep can its tree get?
//!
//! Counts, for every bracket that is open, the operators that can pile up within it: each
//! may add a level. What a comma, `&&` or `||` separates stands side by side.

use crate::error::CompileError;

/// The deepest tree the parser is given.
const MAX_NESTING: usize = 500;

/// # Errors
/// The text may be nested deeper than is let through.
pub fn check(source: &str) -> Result<(), CompileError> {
    let mut levels = vec![0_usize];
    let mut total = 0;
    let mut text = Text(source.as_bytes());
    while let Some(sign) = text.next_sign() {
        match sign {
            Sign::Open => {
                levels.push(1);
                total += 1;
            }
            Sign::Close => {
                if levels.len() > 1 {
                    total -= levels.pop().unwrap_or(0);
                }
                grow(&mut levels, &mut total);
            }
            Sign::Beside => {
                if let Some(level) = levels.last_mut() {
                    total -= *level;
                    *level = 1;
                    total += 1;
                }
            }
            Sign::Deeper => grow(&mut levels, &mut total),
        }
        if total > MAX_NESTING {
            let why = format!("expression nesting exceeds limit: {MAX_NESTING}");
            return Err(CompileError::TooLarge(why));
        }
    }
    Ok(())
}

fn grow(levels: &mut [usize], total: &mut usize) {
    if let Some(level) = levels.last_mut() {
        *level += 1;
        *total += 1;
    }
}

enum Sign {
    Open,
    Close,
    Beside,
    Deeper,
}

struct Text<'a>(&'a [u8]);

impl Text<'_> {
    fn next_sign(&mut self) -> Option<Sign> {
        while let Some((&byte, rest)) = self.0.split_first() {
            self.0 = rest;
            match byte {
                b'"' | b'\'' => self.skip_string(byte),
                b'/' if rest.starts_with(b"/") => self.skip_line(),
                b'(' | b'[' | b'{' => return Some(Sign::Open),
                b')' | b']' | b'}' => return Some(Sign::Close),
                b',' => return Some(Sign::Beside),
                b'&' | b'|' if rest.first() == Some(&byte) => {
                    self.0 = &rest[1..];
                    return Some(Sign::Beside);
                }
                b'.' | b'+' | b'-' | b'*' | b'/' | b'%' | b'?' | b':' | b'!' | b'<' | b'>'
                | b'=' => return Some(Sign::Deeper),
                // `a in b in c` nests too.
                b'i' if rest.starts_with(b"n") => return Some(Sign::Deeper),
                _ => {}
            }
        }
        None
    }

    /// Past the end of a string; an escape sign skips what follows, which in a raw string
    /// may end it early: the count is then too high, never too low by much.
    fn skip_string(&mut self, quote: u8) {
        let triple = [quote; 3];
        let long = self.0.starts_with(&triple[1..]);
        if long {
            self.0 = &self.0[2..];
        }
        while let Some((&byte, rest)) = self.0.split_first() {
            if byte == b'\\' {
                self.0 = rest.get(1..).unwrap_or(&[]);
                continue;
            }
            let ended = match long {
                true => self.0.starts_with(&triple),
                false => byte == quote || byte == b'\n',
            };
            self.0 = rest;
            if ended {
                self.0 = if long { &rest[2..] } else { rest };
                return;
            }
        }
    }

    fn skip_line(&mut self) {
        let end = self.0.iter().position(|byte| *byte == b'\n');
        self.0 = &self.0[end.unwrap_or(self.0.len())..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_text_never_reaches_the_parser() {
        for (open, close) in [("(", ")"), ("[", "]"), ("-", ""), ("!", ""), ("a.", "a")] {
            let text = format!("{}1{}", open.repeat(2000), close.repeat(2000));
            assert!(check(&text).is_err(), "{open}");
        }
        assert!(check(&"1+".repeat(2000)).is_err());
        assert!(check(&"a ? b : ".repeat(2000)).is_err());
    }

    #[test]
    fn wide_text_does() {
        let list = format!("[{}]", "'a', ".repeat(5000));
        assert!(check(&list).is_ok());
        assert!(check(&"a == 1 || ".repeat(5000)).is_ok());
        assert!(check(&format!("'{}'", "((".repeat(5000))).is_ok());
        assert!(check("\"\"\"a\"b\"\"\" + 'c\\'d'").is_ok());
        assert!(check("'open").is_ok());
    }
}

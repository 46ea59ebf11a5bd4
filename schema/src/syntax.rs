//! Says what is wrong with broken JSON as Go's scanner says it, since clients
//! show (and some match) those words.

type Step<T = ()> = Result<T, String>;

/// Go's message for the first syntax error in `bytes`; `error` is what `serde_json`
/// had to say, for what Go would have accepted.
pub(crate) fn explain(bytes: &[u8], error: &serde_json::Error) -> String {
    let mut scanner = Scanner { bytes, at: 0 };
    match scanner.document() {
        Err(message) => message,
        Ok(()) => error.to_string(),
    }
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// Deeper than `serde_json` goes, so its own error is used from there on.
const MAX_DEPTH: usize = 200;

impl Scanner<'_> {
    fn document(&mut self) -> Step {
        self.value(0)?;
        self.space();
        match self.peek() {
            Some(_) => self.invalid("after top-level value"),
            None => Ok(()),
        }
    }

    fn value(&mut self, depth: usize) -> Step {
        self.space();
        match self.peek() {
            _ if depth > MAX_DEPTH => Ok(()),
            None => eof(),
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            Some(_) => self.invalid("looking for beginning of value"),
        }
    }

    fn object(&mut self, depth: usize) -> Step {
        self.at += 1;
        self.space();
        if self.eat(b'}') {
            return Ok(());
        }
        loop {
            self.space();
            match self.peek() {
                Some(b'"') => self.string()?,
                Some(_) => return self.invalid("looking for beginning of object key string"),
                None => return eof(),
            }
            self.space();
            self.expect(b':', "after object key")?;
            self.value(depth)?;
            self.space();
            if self.eat(b'}') {
                return Ok(());
            }
            self.expect(b',', "after object key:value pair")?;
        }
    }

    fn array(&mut self, depth: usize) -> Step {
        self.at += 1;
        self.space();
        if self.eat(b']') {
            return Ok(());
        }
        loop {
            self.value(depth)?;
            self.space();
            if self.eat(b']') {
                return Ok(());
            }
            self.expect(b',', "after array element")?;
        }
    }

    fn string(&mut self) -> Step {
        self.at += 1;
        loop {
            match self.peek() {
                None => return eof(),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escape()?;
                }
                Some(0..0x20) => return self.invalid("in string literal"),
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Step {
        match self.peek() {
            None => eof(),
            Some(b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"') => {
                self.at += 1;
                Ok(())
            }
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    match self.peek() {
                        Some(b) if b.is_ascii_hexdigit() => self.at += 1,
                        Some(_) => return self.invalid("in \\u hexadecimal character escape"),
                        None => return eof(),
                    }
                }
                Ok(())
            }
            Some(_) => self.invalid("in string escape code"),
        }
    }

    fn number(&mut self) -> Step {
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits("in numeric literal")?;
        }
        if self.eat(b'.') {
            self.digits("after decimal point in numeric literal")?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _ = self.eat(b'+') || self.eat(b'-');
            self.digits("in exponent of numeric literal")?;
        }
        Ok(())
    }

    /// At least one digit.
    fn digits(&mut self, place: &str) -> Step {
        match self.peek() {
            Some(b'0'..=b'9') => {}
            Some(_) => return self.invalid(place),
            None => return eof(),
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    fn literal(&mut self, word: &str) -> Step {
        for expected in word.bytes() {
            let expected_char = char::from(expected);
            self.expect(
                expected,
                &format!("in literal {word} (expecting '{expected_char}')"),
            )?;
        }
        Ok(())
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, place: &str) -> Step {
        match self.peek() {
            Some(found) if found == byte => {
                self.at += 1;
                Ok(())
            }
            Some(_) => self.invalid(place),
            None => eof(),
        }
    }

    fn invalid(&self, place: &str) -> Step {
        let character = match self.peek() {
            Some(b'\'') => r"'\''".to_owned(),
            Some(b'"') => "'\"'".to_owned(),
            Some(byte) => format!("'{}'", quoted(byte)),
            None => return eof(),
        };
        Err(format!("invalid character {character} {place}"))
    }
}

/// A byte as Go quotes the character of its number.
fn quoted(byte: u8) -> String {
    match byte {
        0x07 => r"\a".to_owned(),
        0x08 => r"\b".to_owned(),
        0x0b => r"\v".to_owned(),
        0x0c => r"\f".to_owned(),
        b'\t' | b'\n' | b'\r' | b'\\' => char::from(byte).escape_default().to_string(),
        0..0x20 | 0x7f => format!("\\x{byte:02x}"),
        0x80..=0xa0 | 0xad => format!("\\u{byte:04x}"),
        _ => char::from(byte).to_string(),
    }
}

fn eof() -> Step {
    Err("unexpected end of JSON input".to_owned())
}

#[cfg(test)]
mod tests {
    fn error(text: &str) -> String {
        crate::read(text.as_bytes())
            .expect_err("broken JSON")
            .to_string()
    }

    #[test]
    fn errors_are_worded_as_go_words_them() {
        let cases = [
            ("", "unexpected end of JSON input"),
            (
                "{not json",
                "invalid character 'n' looking for beginning of object key string",
            ),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            (
                "{\"a\": 1 2}",
                "invalid character '2' after object key:value pair",
            ),
            ("[1 2]", "invalid character '2' after array element"),
            (
                "[1,]",
                "invalid character ']' looking for beginning of value",
            ),
            (
                "tru3",
                "invalid character '3' in literal true (expecting 'e')",
            ),
            ("\"\\x\"", "invalid character 'x' in string escape code"),
            (
                "1.x",
                "invalid character 'x' after decimal point in numeric literal",
            ),
            ("{} x", "invalid character 'x' after top-level value"),
            ("{\"a\":[", "unexpected end of JSON input"),
        ];
        for (text, message) in cases {
            assert_eq!(error(text), message, "of {text:?}");
        }
    }
}

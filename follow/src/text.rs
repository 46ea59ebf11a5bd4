//! JSON text read into a type, at the cost of what the type wants.
//!
//! What nobody wants is stepped over without a look at more than quotes and
//! brackets, so text is not checked for being JSON all through: it is for what a
//! server sent that is trusted to write JSON. No text makes it panic.

mod skip;
#[cfg(test)]
mod tests;

use serde::de::{self, DeserializeSeed, Deserializer, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

/// As deep as `serde_json` goes; a stack must not run over.
const DEEPEST: usize = 128;

/// Why text is not what was wanted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no JSON at byte {at}")]
    Malformed { at: usize },
    #[error("nested too deep at byte {at}")]
    TooDeep { at: usize },
    #[error("{0}")]
    Unexpected(Box<str>),
}

impl de::Error for Error {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Unexpected(message.to_string().into())
    }
}

/// Reads the value that the text begins with.
///
/// # Errors
/// When there is none, or it is not of the type.
pub fn read<'t, T: Deserialize<'t>>(text: &'t [u8]) -> Result<T, Error> {
    let text = std::str::from_utf8(text).map_err(|error| Error::Malformed {
        at: error.valid_up_to(),
    })?;
    let mut reader = Reader {
        text,
        at: 0,
        depth: 0,
    };
    T::deserialize(&mut reader)
}

struct Reader<'t> {
    text: &'t str,
    /// What is read next; never beyond the text's end.
    at: usize,
    depth: usize,
}

impl<'t> Reader<'t> {
    /// The byte that the next token begins with.
    #[inline]
    fn peek(&mut self) -> Result<u8, Error> {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                Some(byte) => return Ok(*byte),
                None => return Err(self.malformed()),
            }
        }
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), Error> {
        if self.peek()? != byte {
            return Err(self.malformed());
        }
        self.at += 1;
        Ok(())
    }

    #[cold]
    fn malformed(&self) -> Error {
        Error::Malformed { at: self.at }
    }

    /// The next value, of whatever kind, as it is written.
    fn raw(&mut self) -> Result<&'t str, Error> {
        self.peek()?;
        let length = skip::value(&self.text.as_bytes()[self.at..]);
        let end = length.map(|length| self.at + length);
        let raw = end.and_then(|end| self.text.get(self.at..end));
        let raw = raw.ok_or_else(|| self.malformed())?;
        self.at += raw.len();
        Ok(raw)
    }

    fn literal<T>(&mut self, text: &str, value: T) -> Result<T, Error> {
        if !self.text.as_bytes()[self.at..].starts_with(text.as_bytes()) {
            return Err(self.malformed());
        }
        self.at += text.len();
        Ok(value)
    }

    fn string<V: Visitor<'t>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        let began = self.at + 1;
        let length = self.text.as_bytes().get(began..).and_then(skip::plain);
        let plain = length.and_then(|length| self.text.get(began..began + length));
        let plain = plain.ok_or_else(|| self.malformed())?;
        let end = began + plain.len();
        if self.text.as_bytes()[end] != b'"' {
            let raw = self.raw()?;
            return visitor.visit_string(elsewhere(raw)?);
        }
        self.at = end + 1;
        visitor.visit_borrowed_str(plain)
    }

    fn number<V: Visitor<'t>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        let raw = self.raw()?;
        if let Ok(number) = raw.parse::<u64>() {
            return visitor.visit_u64(number);
        }
        if let Ok(number) = raw.parse::<i64>() {
            return visitor.visit_i64(number);
        }
        visitor.visit_f64(elsewhere(raw)?)
    }

    /// Reads what is in brackets.
    fn within<T>(
        &mut self,
        end: u8,
        read: impl FnOnce(&mut Inside<'_, 't>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.depth == DEEPEST {
            return Err(Error::TooDeep { at: self.at });
        }
        self.depth += 1;
        self.at += 1;
        let mut inside = Inside {
            reader: self,
            end,
            is_first: true,
            is_over: false,
        };
        let value = read(&mut inside)?;
        if !inside.is_over {
            inside.leave()?;
        }
        self.depth -= 1;
        Ok(value)
    }
}

/// What takes more than a look at its bytes is left to `serde_json`.
fn elsewhere<'t, T: Deserialize<'t>>(raw: &'t str) -> Result<T, Error> {
    serde_json::from_str(raw).map_err(de::Error::custom)
}

impl<'t> Deserializer<'t> for &mut Reader<'t> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.peek()? {
            b'"' => self.string(visitor),
            b'{' => self.within(b'}', |inside| visitor.visit_map(inside)),
            b'[' => self.within(b']', |inside| visitor.visit_seq(inside)),
            b't' => self
                .literal("true", true)
                .and_then(|b| visitor.visit_bool(b)),
            b'f' => self
                .literal("false", false)
                .and_then(|b| visitor.visit_bool(b)),
            b'n' => self.literal("null", ()).and_then(|()| visitor.visit_unit()),
            b'-' | b'0'..=b'9' => self.number(visitor),
            _ => Err(self.malformed()),
        }
    }

    fn deserialize_str<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.peek()? {
            b'"' => self.string(visitor),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.peek()? == b'n' {
            self.literal("null", ())?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_ignored_any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Error> {
        self.raw()?;
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'t>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'t>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let raw = self.raw()?;
        let mut reader = serde_json::Deserializer::from_str(raw);
        let read = reader.deserialize_enum(name, variants, visitor);
        read.map_err(de::Error::custom)
    }

    forward_to_deserialize_any! {
        <V: Visitor<'t>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct
    }
}

/// In the brackets of an object or a list.
struct Inside<'r, 't> {
    reader: &'r mut Reader<'t>,
    end: u8,
    is_first: bool,
    is_over: bool,
}

impl Inside<'_, '_> {
    /// Goes to the next member, if there is one.
    #[inline]
    fn more(&mut self) -> Result<bool, Error> {
        if self.is_over {
            return Ok(false);
        }
        let next = self.reader.peek()?;
        if next == self.end {
            self.reader.at += 1;
            self.is_over = true;
            return Ok(false);
        }
        if !std::mem::take(&mut self.is_first) {
            self.reader.expect(b',')?;
        }
        Ok(true)
    }

    /// Who wanted no more of it may have left something.
    fn leave(&mut self) -> Result<(), Error> {
        while self.more()? {
            self.reader.raw()?;
            if self.end == b'}' {
                self.reader.expect(b':')?;
                self.reader.raw()?;
            }
        }
        Ok(())
    }
}

impl<'t> de::SeqAccess<'t> for &mut Inside<'_, 't> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'t>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        match self.more()? {
            true => seed.deserialize(&mut *self.reader).map(Some),
            false => Ok(None),
        }
    }
}

impl<'t> de::MapAccess<'t> for &mut Inside<'_, 't> {
    type Error = Error;

    fn next_key_seed<T: DeserializeSeed<'t>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        if !self.more()? {
            return Ok(None);
        }
        if self.reader.peek()? != b'"' {
            return Err(self.reader.malformed());
        }
        seed.deserialize(&mut *self.reader).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'t>>(&mut self, seed: T) -> Result<T::Value, Error> {
        self.reader.expect(b':')?;
        seed.deserialize(&mut *self.reader)
    }
}

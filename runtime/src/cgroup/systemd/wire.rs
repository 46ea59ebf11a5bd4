//! The bytes of D-Bus messages, as far as systemd is asked anything.
//!
//! <https://dbus.freedesktop.org/doc/dbus-specification.html>, little-endian only.

use std::io;

pub const CALL: u8 = 1;
pub const ANSWER: u8 = 2;
pub const ERROR: u8 = 3;
pub const SIGNAL: u8 = 4;

const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const ANSWERS: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// Longer messages are not ours to read.
pub const MAX_MESSAGE: usize = 1 << 20;

/// The part of a message that says how long the rest is.
pub const PREFIX: usize = 16;

/// A property's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Text(String),
    Bool(bool),
    Number(u64),
    Numbers(Vec<u32>),
}

/// Bytes being written, each value at a multiple of its size.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    fn u32(&mut self, n: u32) {
        self.align(4);
        self.0.extend(n.to_le_bytes());
    }

    pub fn text(&mut self, text: &str) {
        self.u32(length(text.len()));
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, signature: &str) {
        self.0
            .push(u8::try_from(signature.len()).expect("our signatures are short"));
        self.0.extend(signature.as_bytes());
        self.0.push(0);
    }

    /// An array whose elements begin at multiples of `alignment`.
    pub fn array(&mut self, alignment: usize, elements: impl FnOnce(&mut Self)) {
        self.u32(0);
        let at = self.0.len() - 4;
        self.align(alignment);
        let start = self.0.len();
        elements(self);
        let size = length(self.0.len() - start);
        self.0[at..at + 4].copy_from_slice(&size.to_le_bytes());
    }

    fn variant(&mut self, value: &Value) {
        match value {
            Value::Text(text) => {
                self.signature("s");
                self.text(text);
            }
            Value::Bool(is_true) => {
                self.signature("b");
                self.u32(u32::from(*is_true));
            }
            Value::Number(n) => {
                self.signature("t");
                self.align(8);
                self.0.extend(n.to_le_bytes());
            }
            Value::Numbers(numbers) => {
                self.signature("au");
                self.array(4, |w| numbers.iter().for_each(|n| w.u32(*n)));
            }
        }
    }

    /// `a(sv)`
    pub fn properties(&mut self, properties: &[(&str, Value)]) {
        self.array(8, |w| {
            for (name, value) in properties {
                w.align(8);
                w.text(name);
                w.variant(value);
            }
        });
    }

    pub fn boolean(&mut self, is_true: bool) {
        self.u32(u32::from(is_true));
    }
}

fn length(n: usize) -> u32 {
    u32::try_from(n).expect("what we send is small")
}

/// A call of a method of systemd's manager.
pub fn call(serial: u32, member: &str, signature: &str, body: Writer) -> Vec<u8> {
    let mut message = Writer(vec![b'l', CALL, 0, 1]);
    message.u32(length(body.0.len()));
    message.u32(serial);
    let fields = [
        (PATH, "o", "/org/freedesktop/systemd1"),
        (INTERFACE, "s", "org.freedesktop.systemd1.Manager"),
        (MEMBER, "s", member),
        (DESTINATION, "s", "org.freedesktop.systemd1"),
        (SIGNATURE, "g", signature),
    ];
    message.array(8, |w| {
        for (code, kind, value) in fields {
            w.align(8);
            w.0.push(code);
            w.signature(kind);
            match kind {
                "g" => w.signature(value),
                _ => w.text(value),
            }
        }
    });
    message.align(8);
    message.0.extend(body.0);
    message.0
}

/// A message as far as we care for it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub kind: u8,
    pub answers: u32,
    pub member: String,
    pub error: String,
    pub body: Vec<u8>,
}

/// How many bytes come after the prefix.
pub fn rest_of(prefix: &[u8; PREFIX]) -> io::Result<usize> {
    let number = |at: usize| {
        let bytes = prefix[at..at + 4].try_into().expect("four bytes");
        u32::from_le_bytes(bytes) as usize
    };
    let fields = number(12).checked_next_multiple_of(8);
    let length = fields.and_then(|f| f.checked_add(number(4)));
    match length {
        Some(length) if prefix[0] == b'l' && length <= MAX_MESSAGE => Ok(length),
        _ => Err(damaged()),
    }
}

pub fn damaged() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "a message that is none of D-Bus",
    )
}

impl Message {
    pub fn parse(prefix: &[u8; PREFIX], rest: &[u8]) -> io::Result<Self> {
        let size = u32::from_le_bytes(prefix[12..16].try_into().expect("four bytes")) as usize;
        let mut message = Self {
            kind: prefix[1],
            ..Self::default()
        };
        // The array of fields begins at 16, which is a multiple of all alignments.
        let fields = rest.get(..size).ok_or_else(damaged)?;
        let mut reader = Reader::new(fields);
        while !reader.is_at_end() {
            reader.align(8);
            let code = reader.byte()?;
            let kind = reader.short_text()?;
            match (code, kind.as_str()) {
                (ANSWERS, "u") => message.answers = reader.u32()?,
                (MEMBER, "s") => message.member = reader.text()?,
                (ERROR_NAME, "s") => message.error = reader.text()?,
                (_, "s" | "o") => drop(reader.text()?),
                (_, "g") => drop(reader.short_text()?),
                (_, "u") => drop(reader.u32()?),
                _ => return Err(damaged()),
            }
        }
        let body = size.next_multiple_of(8);
        message.body = rest.get(body..).ok_or_else(damaged)?.to_vec();
        Ok(message)
    }
}

/// Bytes being read.
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, n: usize) -> io::Result<&'a [u8]> {
        let end = self.at.checked_add(n).ok_or_else(damaged)?;
        let taken = self.bytes.get(self.at..end).ok_or_else(damaged)?;
        self.at = end;
        Ok(taken)
    }

    fn byte(&mut self) -> io::Result<u8> {
        Ok(self.take(1)?[0])
    }

    pub fn u32(&mut self) -> io::Result<u32> {
        self.align(4);
        let bytes = self.take(4)?.try_into().expect("four bytes");
        Ok(u32::from_le_bytes(bytes))
    }

    pub fn text(&mut self) -> io::Result<String> {
        let length = self.u32()? as usize;
        self.string(length)
    }

    fn short_text(&mut self) -> io::Result<String> {
        let length = usize::from(self.byte()?);
        self.string(length)
    }

    fn string(&mut self, length: usize) -> io::Result<String> {
        let text = self.take(length)?;
        self.take(1)?;
        String::from_utf8(text.to_vec()).map_err(|_| damaged())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> io::Result<Message> {
        let prefix = bytes[..PREFIX].try_into().unwrap();
        Message::parse(prefix, &bytes[PREFIX..])
    }

    #[test]
    fn a_call_is_read_back_as_it_was_written() {
        let mut body = Writer::default();
        body.text("unit.scope");
        body.properties(&[
            ("Delegate", Value::Bool(true)),
            ("MemoryMax", Value::Number(1 << 40)),
            ("PIDs", Value::Numbers(vec![7, 8])),
        ]);
        let bytes = call(3, "StartTransientUnit", "sa(sv)", body);
        let prefix = bytes[..PREFIX].try_into().unwrap();
        assert_eq!(rest_of(prefix).unwrap(), bytes.len() - PREFIX);
        let message = parse(&bytes).unwrap();
        assert_eq!(
            (message.kind, message.member.as_str()),
            (CALL, "StartTransientUnit")
        );
        let mut body = Reader::new(&message.body);
        assert_eq!(body.text().unwrap(), "unit.scope");
    }

    #[test]
    fn the_bytes_are_those_of_the_specification() {
        let mut body = Writer::default();
        body.properties(&[("A", Value::Number(5)), ("B", Value::Bool(true))]);
        let expected: &[u8] = &[
            40, 0, 0, 0, 0, 0, 0, 0, // length, padding to the first struct
            1, 0, 0, 0, b'A', 0, 1, b't', 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, //
            1, 0, 0, 0, b'B', 0, 1, b'b', 0, 0, 0, 0, 1, 0, 0, 0,
        ];
        assert_eq!(body.0.len(), expected.len());
        assert_eq!(body.0[8..], expected[8..]);
    }

    #[test]
    fn damaged_messages_are_errors() {
        let bytes = call(1, "Subscribe", "", Writer::default());
        for end in PREFIX..bytes.len() - 8 {
            assert!(parse(&bytes[..end]).is_err(), "{end}");
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            // An error or another message: never a panic.
            let _ = parse(&damaged);
            let _ = rest_of(damaged[..PREFIX].try_into().unwrap());
        }
    }
}

//! `Transfer-Encoding: chunked`, as it comes in.

use anyhow::{Context, bail};

/// The decoder of one body.
#[derive(Debug, Default)]
pub struct Chunks {
    state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The digits of a size, as far as they came.
    #[default]
    Start,
    Size(usize),
    /// Bytes of the chunk, and of the line end after it, that are still to come.
    Data(usize),
    LineEnd(usize),
    /// The line end after the last chunk.
    Last(usize),
    Done,
}

impl Chunks {
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Hands what of `bytes` is content to `data`.
    pub fn feed(&mut self, mut bytes: &[u8], mut data: impl FnMut(&[u8])) -> anyhow::Result<()> {
        while let Some(&first) = bytes.first() {
            if let State::Data(left) = self.state {
                let (content, rest) = bytes.split_at(left.min(bytes.len()));
                data(content);
                bytes = rest;
                self.state = match left - content.len() {
                    0 => State::LineEnd(2),
                    left => State::Data(left),
                };
                continue;
            }
            bytes = &bytes[1..];
            self.step(first)?;
        }
        Ok(())
    }

    fn step(&mut self, byte: u8) -> anyhow::Result<()> {
        self.state = match (self.state, byte) {
            (State::Size(size), b'\r') => State::Size(size),
            (State::Size(0), b'\n') => State::Last(2),
            (State::Size(size), b'\n') => State::Data(size),
            (State::Start, digit) => State::Size(hex(digit)?),
            (State::Size(size), digit) => {
                let size = size.checked_mul(16).context("a chunk has no size")?;
                State::Size(size + hex(digit)?)
            }
            (State::LineEnd(1), _) => State::Start,
            (State::LineEnd(left), _) => State::LineEnd(left - 1),
            (State::Last(1), _) => State::Done,
            (State::Last(left), _) => State::Last(left - 1),
            (state, _) => bail!("bytes after the end of a body ({state:?})"),
        };
        Ok(())
    }
}

fn hex(digit: u8) -> anyhow::Result<usize> {
    let value = char::from(digit).to_digit(16);
    Ok(value.context("a chunk's size is no number")? as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_the_same_however_the_bytes_are_cut() {
        let wire = b"5\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n";
        for cut in 1..wire.len() {
            let (mut chunks, mut content) = (Chunks::default(), Vec::new());
            for piece in wire.chunks(cut) {
                chunks
                    .feed(piece, |data| content.extend_from_slice(data))
                    .unwrap();
            }
            assert_eq!(content, b"hello0123456789abcdef");
            assert!(chunks.is_done());
        }
    }
}

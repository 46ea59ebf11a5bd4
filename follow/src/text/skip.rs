//! Where a value ends, found without reading it.
//!
//! Objects and lists are looked at 64 bytes at a time: which of them are quotes
//! or brackets is one bit each, and the brackets within strings fall away by bit
//! arithmetic (after Langdale and Lemire, "Parsing gigabytes of JSON per second").

use wide::u8x16;

/// Bytes looked at together, one a bit.
const BLOCK: usize = 64;

/// The length of the value that `text` begins with, if it ends in it.
pub fn value(text: &[u8]) -> Option<usize> {
    match text.first()? {
        b'"' => string(text),
        b'{' | b'[' => nested(text),
        _ => scalar(text),
    }
}

fn string(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += plain(text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// How much of a string's text comes before a quote or a backslash.
#[inline]
pub fn plain(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    // Most strings are short, so this must cost little to begin with.
    while let Some(bytes) = text.get(at..).and_then(|rest| rest.first_chunk()) {
        let bytes = u8x16::new(*bytes);
        let ends = bytes.simd_eq(u8x16::splat(b'"')) | bytes.simd_eq(u8x16::splat(b'\\'));
        match ends.to_bitmask() {
            0 => at += 16,
            ends => return Some(at + ends.trailing_zeros() as usize),
        }
    }
    let is_end = |byte: &u8| matches!(byte, b'"' | b'\\');
    let found = text[at..].iter().position(is_end)?;
    Some(at + found)
}

fn scalar(text: &[u8]) -> Option<usize> {
    let is_end = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t');
    let end = text.iter().position(is_end).unwrap_or(text.len());
    (end > 0).then_some(end)
}

fn nested(text: &[u8]) -> Option<usize> {
    if matches!(text, [b'{', b'}', ..] | [b'[', b']', ..]) {
        return Some(2);
    }
    let mut depth = 0;
    let mut strings = Strings::default();
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    for (number, block) in blocks.iter().enumerate() {
        if let Some(end) = strings.brackets(block).close(&mut depth) {
            return Some(number * BLOCK + end);
        }
    }
    let mut last = [b' '; BLOCK];
    last[..rest.len()].copy_from_slice(rest);
    let end = strings.brackets(&last).close(&mut depth)?;
    Some(blocks.len() * BLOCK + end)
}

/// Which bytes of a block are brackets.
struct Brackets {
    opening: u64,
    closing: u64,
}

impl Brackets {
    /// Goes through the block; the length up to the bracket that ends the
    /// outermost, if it is in here.
    fn close(self, depth: &mut i64) -> Option<usize> {
        // Pairs with nothing between, of which there are many, change nothing:
        // the outermost is no such pair.
        let pairs = self.opening & (self.closing >> 1);
        let mut left = (self.opening | self.closing) & !(pairs | pairs << 1);
        while left != 0 {
            let at = left.trailing_zeros();
            let closing = self.closing >> at & 1;
            *depth += 1 - 2 * closing.cast_signed();
            if *depth == 0 {
                return Some(at as usize + 1);
            }
            left &= left - 1;
        }
        None
    }
}

/// Whether the blocks so far end in a string.
#[derive(Default)]
struct Strings {
    /// All bits, or none.
    inside: u64,
    /// The first byte of the next block is escaped.
    escaped: u64,
}

impl Strings {
    /// The brackets of the next block that are in no string.
    fn brackets(&mut self, block: &[u8; BLOCK]) -> Brackets {
        let marks = Marks::of(block);
        let quotes = marks.quotes & !self.escaped(marks.backslashes);
        let within = odd_up_to(quotes) ^ self.inside;
        self.inside = 0_u64.wrapping_sub(within >> 63);
        Brackets {
            opening: marks.opening & !within,
            closing: marks.closing & !within,
        }
    }

    /// The bytes that follow a backslash that is not itself escaped.
    fn escaped(&mut self, backslashes: u64) -> u64 {
        let mut escaped = std::mem::take(&mut self.escaped);
        let mut left = backslashes & !escaped;
        while left != 0 {
            let bit = left & left.wrapping_neg();
            self.escaped = bit >> 63;
            escaped |= bit << 1;
            left &= !(bit | bit << 1);
        }
        escaped
    }
}

/// Each bit: whether the number of bits up to it is odd.
fn odd_up_to(mut bits: u64) -> u64 {
    for distance in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << distance;
    }
    bits
}

/// Which bytes of a block are which, strings or not.
#[derive(Default)]
struct Marks {
    quotes: u64,
    backslashes: u64,
    opening: u64,
    closing: u64,
}

impl Marks {
    fn of(block: &[u8; BLOCK]) -> Self {
        let mut marks = Self::default();
        for (lane, bytes) in block.as_chunks::<16>().0.iter().enumerate() {
            let bytes = u8x16::new(*bytes);
            // `[` and `]` become `{` and `}`, and nothing else does.
            let folded = bytes | u8x16::splat(0x20);
            let which = |bytes: u8x16, wanted: u8| {
                let equal = bytes.simd_eq(u8x16::splat(wanted));
                u64::from(equal.to_bitmask()) << (lane * 16)
            };
            marks.quotes |= which(bytes, b'"');
            marks.backslashes |= which(bytes, b'\\');
            marks.opening |= which(folded, b'{');
            marks.closing |= which(folded, b'}');
        }
        marks
    }
}

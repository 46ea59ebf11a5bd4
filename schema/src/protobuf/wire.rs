//! Protobuf's wire format: fields, one after the other.

use super::Error;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Field<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32([u8; 4]),
    Bytes(&'a [u8]),
}

/// The fields of a message, with their numbers; ends at the first error.
pub(super) fn fields(bytes: &[u8]) -> impl Iterator<Item = Result<(u32, Field<'_>), Error>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = next(&mut rest);
        if field.is_none() {
            rest = &[];
        }
        Some(field.ok_or(Error::Malformed))
    })
}

fn next<'a>(rest: &mut &'a [u8]) -> Option<(u32, Field<'a>)> {
    let tag = varint(rest)?;
    let field = match tag & 7 {
        0 => Field::Varint(varint(rest)?),
        1 => Field::Fixed64(take(rest, 8)?.try_into().ok()?),
        2 => {
            let length = varint(rest)?.try_into().ok()?;
            Field::Bytes(take(rest, length)?)
        }
        5 => Field::Fixed32(take(rest, 4)?.try_into().ok()?),
        _ => return None,
    };
    Some((u32::try_from(tag >> 3).ok()?, field))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

pub(super) fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, left) = rest.split_first()?;
        *rest = left;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

pub(super) fn text(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|_| Error::Malformed)
}

/// Fields on their way out.
pub(super) mod put {
    pub fn varint(number: u32, value: u64, out: &mut Vec<u8>) {
        bare(u64::from(number) << 3, out);
        bare(value, out);
    }

    pub fn double(number: u32, value: f64, out: &mut Vec<u8>) {
        bare(u64::from(number) << 3 | 1, out);
        out.extend(value.to_le_bytes());
    }

    pub fn bytes(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
        bare(u64::from(number) << 3 | 2, out);
        bare(bytes.len() as u64, out);
        out.extend_from_slice(bytes);
    }

    fn bare(mut value: u64, out: &mut Vec<u8>) {
        while value > 0x7f {
            out.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    }
}

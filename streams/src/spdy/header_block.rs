//! Header blocks: zlib with the protocol's dictionary, one stream of it per direction of a connection.

use bytes::{Buf, BufMut};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::Error;

/// Lower-case names and values, in order.
pub(crate) type Headers = Vec<(String, String)>;

/// A decompressed block, and so all its headers.
const MAX_BLOCK: usize = 64 * 1024;
const MAX_HEADERS: usize = 256;

/// Words of the dictionary that stand in it as headers do: length, then text (SPDY/3, section 2.6.10.1).
const WORDS: &str = "options head post put delete trace accept accept-charset accept-encoding accept-language \
    accept-ranges age allow authorization cache-control connection content-base content-encoding content-language \
    content-length content-location content-md5 content-range content-type date etag expect expires from host \
    if-match if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma \
    proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade \
    user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie \
    keep-alive origin";

/// The rest of the dictionary.
const TEXT: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505\
    203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden\
    404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable\
    Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT\
    chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,\
    publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

fn dictionary() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1423);
    for word in WORDS.split_whitespace() {
        let word = word.replace('_', " ");
        bytes.put_u32(u32::try_from(word.len()).expect("words are short"));
        bytes.extend(word.bytes());
    }
    bytes.extend(TEXT.bytes());
    bytes
}

pub(crate) struct Decoder {
    zlib: Decompress,
}

pub(crate) struct Encoder {
    zlib: Compress,
}

impl Decoder {
    pub fn new() -> Self {
        Self {
            zlib: Decompress::new(true),
        }
    }

    /// Every block has to go through here, or the next cannot be read.
    pub fn decode(&mut self, block: &[u8]) -> Result<Headers, Error> {
        let plain = self.inflate(block)?;
        parse(&plain).ok_or(Error::Protocol("a header block that ends within a header"))
    }

    fn inflate(&mut self, mut block: &[u8]) -> Result<Vec<u8>, Error> {
        const BROKEN: Error = Error::Protocol("a header block that is not zlib");
        let mut plain = Vec::with_capacity(1024);
        loop {
            let before = self.zlib.total_in();
            let outcome = self
                .zlib
                .decompress_vec(block, &mut plain, FlushDecompress::Sync);
            block = &block[usize::try_from(self.zlib.total_in() - before).unwrap_or(block.len())..];
            match outcome {
                Err(error) if error.needs_dictionary().is_some() => {
                    self.zlib
                        .set_dictionary(&dictionary())
                        .map_err(|_| BROKEN)?;
                }
                Err(_) | Ok(Status::StreamEnd) => return Err(BROKEN),
                Ok(_) if plain.len() < plain.capacity() && block.is_empty() => return Ok(plain),
                Ok(_) if plain.len() >= MAX_BLOCK => {
                    return Err(Error::Protocol("a header block of more than 64 KiB"));
                }
                Ok(Status::BufError) if plain.len() < plain.capacity() => return Err(BROKEN),
                Ok(_) => plain.reserve(4096),
            }
        }
    }
}

impl Encoder {
    pub fn new() -> Self {
        let mut zlib = Compress::new(Compression::fast(), true);
        zlib.set_dictionary(&dictionary())
            .expect("a dictionary fits before the first byte");
        Self { zlib }
    }

    pub fn encode(&mut self, headers: &Headers) -> Vec<u8> {
        let mut plain = Vec::new();
        let length = |text: &str| u32::try_from(text.len()).expect("headers are short");
        plain.put_u32(u32::try_from(headers.len()).expect("headers are few"));
        for (name, value) in headers {
            plain.put_u32(length(name));
            plain.extend(name.bytes());
            plain.put_u32(length(value));
            plain.extend(value.bytes());
        }
        let mut block = Vec::with_capacity(plain.len() + 64);
        let mut rest = plain.as_slice();
        loop {
            let before = self.zlib.total_in();
            let status = self
                .zlib
                .compress_vec(rest, &mut block, FlushCompress::Sync);
            status.expect("deflate takes any bytes");
            rest = &rest[usize::try_from(self.zlib.total_in() - before).unwrap_or(rest.len())..];
            if rest.is_empty() && block.len() < block.capacity() {
                return block;
            }
            block.reserve(256);
        }
    }
}

fn parse(plain: &[u8]) -> Option<Headers> {
    let mut rest = plain;
    let count = usize::try_from(rest.try_get_u32().ok()?)
        .ok()
        .filter(|count| *count <= MAX_HEADERS)?;
    let mut next = || {
        let length = usize::try_from(rest.try_get_u32().ok()?).ok()?;
        let text = rest.get(..length)?;
        rest = &rest[length..];
        Some(String::from_utf8_lossy(text).into_owned())
    };
    let mut headers = Headers::new();
    for _ in 0..count {
        let (name, value) = (next()?, next()?);
        headers.push((name.to_ascii_lowercase(), value));
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adler-32, by which zlib names a dictionary.
    fn adler(bytes: &[u8]) -> u32 {
        let (a, b) = bytes.iter().fold((1_u32, 0_u32), |(a, b), &byte| {
            let a = (a + u32::from(byte)) % 65521;
            (a, (b + a) % 65521)
        });
        b << 16 | a
    }

    #[test]
    fn dictionary_is_the_one_of_the_specification() {
        assert_eq!(
            (dictionary().len(), adler(&dictionary())),
            (1423, 0xe3c6_a7c2)
        );
    }

    #[test]
    fn blocks_go_round_one_after_the_other() {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
        for port in ["80", "8080", "80"] {
            let headers = vec![
                ("streamtype".to_owned(), "data".to_owned()),
                ("port".to_owned(), port.to_owned()),
            ];
            assert_eq!(decoder.decode(&encoder.encode(&headers)).unwrap(), headers);
        }
    }

    #[test]
    fn blocks_that_grow_without_bound_or_make_no_sense_are_refused() {
        let huge = vec![("a".to_owned(), "x".repeat(200_000))];
        let block = Encoder::new().encode(&huge);
        assert!(block.len() < 10_000);
        assert!(Decoder::new().decode(&block).is_err());
        assert!(Decoder::new().decode(b"nonsense").is_err());
        assert!(Decoder::new().decode(b"").is_err());
        assert!(parse(&[0, 0, 0, 1, 0, 0, 0, 9, 1]).is_none());
        assert!(parse(&[0xff; 16]).is_none());
    }
}

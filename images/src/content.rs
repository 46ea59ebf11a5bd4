//! Bytes on their way: hashed, counted, bounded, decompressed.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest as _, Sha256};

use crate::{Digest, Error, Result, tarball::Source};

/// Passes bytes on, and knows their digest and number in the end.
pub struct Hashing<R> {
    source: R,
    hash: Sha256,
    count: u64,
    limit: u64,
}

impl<R: Read> Hashing<R> {
    /// Reading past `limit` bytes is an error.
    pub fn new(source: R, limit: u64) -> Self {
        Self {
            source,
            hash: Sha256::new(),
            count: 0,
            limit,
        }
    }

    /// Reads what is left, and tells digest and length of it all.
    pub fn finish(mut self) -> io::Result<(Digest, u64)> {
        io::copy(&mut self, &mut io::sink())?;
        Ok((Digest::finish(self.hash), self.count))
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buf)?;
        self.count += count as u64;
        if self.count > self.limit {
            let message = format!("more than {} bytes", self.limit);
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        self.hash.update(&buf[..count]);
        Ok(count)
    }
}

impl<R: Read> Source for Hashing<R> {}

/// `Ok` when the content is the one that was promised.
pub fn check(expected: &Digest, actual: Digest) -> Result<()> {
    if *expected == actual {
        Ok(())
    } else {
        Err(Error::Digest {
            expected: expected.clone(),
            actual,
        })
    }
}

/// The plain bytes of a stream that may be gzip or zstd; its first bytes tell, not its media type.
pub fn decompress<'a>(source: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut source = BufReader::with_capacity(64 * 1024, source);
    let start = source.fill_buf()?;
    Ok(match start {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(source)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::stream::read::Decoder::with_buffer(source)?),
        _ => Box::new(source),
    })
}

/// All of a small document, whose digest is known.
pub fn read_document(source: impl Read, limit: u64, what: &'static str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(Error::Tar)?;
    if bytes.len() as u64 > limit {
        Err(Error::TooLarge { what, limit })
    } else {
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn plain(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        decompress(bytes).unwrap().read_to_end(&mut out).unwrap();
        out
    }

    #[test]
    fn compression_is_told_by_content() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"hello ").unwrap();
        let mut members = gzip.finish().unwrap();
        members.extend(members.clone());
        assert_eq!(plain(&members), b"hello hello ");
        assert_eq!(
            plain(&zstd::encode_all(&b"hello"[..], 1).unwrap()),
            b"hello"
        );
        assert_eq!(plain(b"hello"), b"hello");
        assert_eq!(plain(b""), b"");
    }

    #[test]
    fn reading_past_the_limit_is_an_error() {
        assert!(Hashing::new(&[0; 10][..], 9).finish().is_err());
        assert_eq!(
            Hashing::new(&b"abc"[..], 3).finish().unwrap(),
            (Digest::of(b"abc"), 3)
        );
    }
}

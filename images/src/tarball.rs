//! Reading tar streams whose author is not trusted.
//!
//! Understands ustar, GNU long names and pax records; every extension is
//! bounded, which is why this is not left to `tar::Archive` (it reads a pax
//! header of any size into memory).

use std::io::{self, ErrorKind, Read};

use tar::{EntryType, Header};

use crate::limits;

const BLOCK: u64 = 512;

/// Bytes that can be passed over, by seeking where that is possible.
pub trait Source: Read {
    fn skip(&mut self, count: u64) -> io::Result<()>
    where
        Self: Sized,
    {
        let skipped = io::copy(&mut self.by_ref().take(count), &mut io::sink())?;
        if skipped == count {
            Ok(())
        } else {
            Err(ErrorKind::UnexpectedEof.into())
        }
    }
}

/// A tar stream, entry by entry.
pub struct Tarball<R> {
    source: R,
    position: u64,
    /// Content of the current entry that was not read yet, and the padding behind it.
    remaining: u64,
    padding: u64,
}

/// What one entry's headers say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    pub kind: Kind,
    pub path: Vec<u8>,
    pub link: Vec<u8>,
    pub size: u64,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: (i64, i64),
    pub device: (u32, u32),
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where the content starts in the stream.
    pub position: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    #[default]
    File,
    Directory,
    HardLink,
    SymbolicLink,
    CharacterDevice,
    BlockDevice,
    Fifo,
}

/// What extended headers said about the entry that follows them.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u32>,
    gid: Option<u32>,
    mtime: Option<(i64, i64)>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<R: Source> Tarball<R> {
    pub fn new(source: R) -> Self {
        Self {
            source,
            position: 0,
            remaining: 0,
            padding: 0,
        }
    }

    /// The next file, directory, link or device; none at the end.
    pub fn next(&mut self) -> io::Result<Option<Entry>> {
        let mut extensions = Extensions::default();
        let mut extension_bytes = 0_u64;
        loop {
            self.skip_rest()?;
            let Some(header) = self.header()? else {
                return Ok(None);
            };
            let size = header
                .entry_size()
                .map_err(|_| invalid("size of an entry"))?;
            let kind = header.entry_type();
            if !is_extension(kind) {
                return self.entry(&header, size, extensions).map(Some);
            }
            extension_bytes = extension_bytes.saturating_add(size);
            if extension_bytes > limits::TAR_EXTENSION {
                return Err(invalid("an extended header of more than 1 MiB"));
            }
            self.begin(size);
            let mut content = Vec::new();
            self.read_to_end(&mut content)?;
            extensions.add(kind, content)?;
        }
    }

    fn entry(&mut self, header: &Header, size: u64, extensions: Extensions) -> io::Result<Entry> {
        let kind = kind_of(header)?;
        let size = if kind == Kind::File {
            plausible(extensions.size.unwrap_or(size))?
        } else {
            0
        };
        self.begin(size);
        let mut entry = Entry {
            kind,
            size,
            position: self.position,
            ..Entry::default()
        };
        entry.path = extensions
            .path
            .unwrap_or_else(|| header.path_bytes().into_owned());
        entry.link = extensions
            .link
            .or_else(|| header.link_name_bytes().map(|l| l.into_owned()))
            .unwrap_or_default();
        entry.mode = header.mode().map_err(|_| invalid("mode of an entry"))?;
        entry.uid = extensions.uid.map_or_else(|| id(header.uid()), Ok)?;
        entry.gid = extensions.gid.map_or_else(|| id(header.gid()), Ok)?;
        entry.mtime = extensions
            .mtime
            .unwrap_or_else(|| (header.mtime().unwrap_or(0).cast_signed(), 0));
        let number = |n: io::Result<Option<u32>>| n.ok().flatten().unwrap_or(0);
        entry.device = (number(header.device_major()), number(header.device_minor()));
        entry.xattrs = extensions.xattrs;
        if entry.kind == Kind::File && entry.path.ends_with(b"/") {
            entry.kind = Kind::Directory;
        }
        Ok(entry)
    }

    fn begin(&mut self, size: u64) {
        self.remaining = size;
        self.padding = size.next_multiple_of(BLOCK) - size;
    }

    fn skip_rest(&mut self) -> io::Result<()> {
        let count = self.remaining + self.padding;
        if count > 0 {
            self.source.skip(count)?;
            self.position += count;
        }
        (self.remaining, self.padding) = (0, 0);
        Ok(())
    }

    /// None at the end of the archive: a block of zeros, or no more bytes.
    fn header(&mut self) -> io::Result<Option<Header>> {
        let mut header = Header::new_old();
        let mut filled = 0;
        while filled < BLOCK as usize {
            match self.source.read(&mut header.as_mut_bytes()[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.position += BLOCK;
        if header.as_bytes().iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        let sum = |range: &[u8]| range.iter().map(|&byte| u32::from(byte)).sum::<u32>();
        let bytes = header.as_bytes();
        let actual = sum(&bytes[..148]) + 8 * u32::from(b' ') + sum(&bytes[156..]);
        if header.cksum().ok() != Some(actual) {
            return Err(invalid("checksum of a tar header"));
        }
        Ok(Some(header))
    }
}

/// The content of the current entry.
impl<R: Source> Read for Tarball<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.remaining)
            .unwrap_or(usize::MAX)
            .min(buf.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.source.read(&mut buf[..most])?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.remaining -= count as u64;
        self.position += count as u64;
        Ok(count)
    }
}

impl Extensions {
    fn add(&mut self, kind: EntryType, mut content: Vec<u8>) -> io::Result<()> {
        match kind {
            EntryType::GNULongName => {
                trim_nul(&mut content);
                self.path = Some(content);
            }
            EntryType::GNULongLink => {
                trim_nul(&mut content);
                self.link = Some(content);
            }
            EntryType::XHeader => return self.add_pax(&content),
            _ => {}
        }
        Ok(())
    }

    /// `LENGTH KEY=VALUE\n`, the length counting the whole record: values may hold line ends.
    fn add_pax(&mut self, mut records: &[u8]) -> io::Result<()> {
        while !records.is_empty() {
            let bad = || invalid("a pax record");
            let space = records
                .iter()
                .take(20)
                .position(|&b| b == b' ')
                .ok_or_else(bad)?;
            let length: usize = parse(&records[..space]).ok_or_else(bad)?;
            let record = records.get(space + 1..length).ok_or_else(bad)?;
            let record = record.strip_suffix(b"\n").ok_or_else(bad)?;
            let equals = record.iter().position(|&b| b == b'=').ok_or_else(bad)?;
            self.set(&record[..equals], &record[equals + 1..])?;
            records = &records[length..];
        }
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(parse(value).ok_or_else(|| invalid("pax size"))?),
            b"uid" => self.uid = Some(real(parse(value)).ok_or_else(|| invalid("pax uid"))?),
            b"gid" => self.gid = Some(real(parse(value)).ok_or_else(|| invalid("pax gid"))?),
            b"mtime" => self.mtime = parse_time(value),
            _ if key.starts_with(b"GNU.sparse.") => {
                return Err(invalid("a sparse file, which layers may not hold"));
            }
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Ok(())
    }
}

fn is_extension(kind: EntryType) -> bool {
    matches!(
        kind,
        EntryType::GNULongName
            | EntryType::GNULongLink
            | EntryType::XHeader
            | EntryType::XGlobalHeader
    )
}

fn kind_of(header: &Header) -> io::Result<Kind> {
    match header.entry_type() {
        EntryType::Regular | EntryType::Continuous => Ok(Kind::File),
        EntryType::Directory => Ok(Kind::Directory),
        EntryType::Link => Ok(Kind::HardLink),
        EntryType::Symlink => Ok(Kind::SymbolicLink),
        EntryType::Char => Ok(Kind::CharacterDevice),
        EntryType::Block => Ok(Kind::BlockDevice),
        EntryType::Fifo => Ok(Kind::Fifo),
        other => Err(invalid(&format!(
            "entry type {:?}",
            char::from(other.as_byte())
        ))),
    }
}

fn id(number: io::Result<u64>) -> io::Result<u32> {
    let id = number.ok().and_then(|id| u32::try_from(id).ok());
    real(id).ok_or_else(|| invalid("owner of an entry"))
}

/// chown(2) takes the last number there is for "leave it as it is".
fn real(id: Option<u32>) -> Option<u32> {
    id.filter(|id| *id != u32::MAX)
}

/// A size that can be rounded up and added to others.
fn plausible(size: u64) -> io::Result<u64> {
    if size > limits::LAYER_UNPACKED {
        return Err(invalid("size of an entry"));
    }
    Ok(size)
}

fn parse<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Seconds and nanoseconds of `1700000000.25`.
fn parse_time(text: &[u8]) -> Option<(i64, i64)> {
    let text = std::str::from_utf8(text).ok()?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits: String = fraction
        .chars()
        .chain(std::iter::repeat('0'))
        .take(9)
        .collect();
    let (seconds, nanos): (i64, i64) = (seconds.parse().ok()?, digits.parse().ok()?);
    // A time before 1970 counts its fraction downwards.
    if text.starts_with('-') && nanos > 0 {
        Some((seconds.checked_sub(1)?, 1_000_000_000 - nanos))
    } else {
        Some((seconds, nanos))
    }
}

fn trim_nul(text: &mut Vec<u8>) {
    while text.last() == Some(&0) {
        text.pop();
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("invalid tar: {what}"))
}

#[cfg(test)]
mod tests;

//! Files within an image archive, by name: a tar file that is never unpacked, or a directory.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    Error, Result, content,
    disk::Disk,
    limits,
    tarball::{Kind, Source, Tarball},
};

pub enum Archive {
    Directory(PathBuf),
    Tar {
        file: Arc<File>,
        files: HashMap<String, Place>,
    },
}

/// Where a file's bytes lie in the tar file.
pub enum Place {
    Bytes {
        from: u64,
        size: u64,
    },
    /// Old versions of `docker save` store a layer once and link to it.
    Link {
        to: String,
    },
}

/// Hops from link to link.
const MAX_LINKS: usize = 8;

impl Archive {
    pub fn open(disk: &Disk, path: &Path) -> Result<Self> {
        let meta = fs::metadata(path).map_err(Error::disk("open", path))?;
        if meta.is_dir() {
            return Ok(Self::Directory(path.to_owned()));
        }
        let mut file = File::open(path).map_err(Error::disk("open", path))?;
        let mut start = [0; 4];
        let length = file
            .read_at(&mut start, 0)
            .map_err(Error::disk("read", path))?;
        if matches!(
            &start[..length],
            [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd]
        ) {
            file = decompress(disk, file)?;
        }
        let files = scan(&file)?;
        Ok(Self::Tar {
            file: Arc::new(file),
            files,
        })
    }

    /// The size and the bytes of a file; none when there is no such file. The name has been checked for a directory.
    pub fn stream(&self, name: &str) -> Result<Option<(u64, Box<dyn Read + Send>)>> {
        match self {
            Self::Directory(dir) => open_in(dir, name),
            Self::Tar { file, files } => {
                let found = find(files, name);
                Ok(found.map(|(at, size)| {
                    (
                        size,
                        Box::new(Slice {
                            file: Arc::clone(file),
                            at,
                            end: at + size,
                        }) as _,
                    )
                }))
            }
        }
    }

    /// [`Archive::stream`] of a file that must be there.
    pub fn part(&self, name: &str) -> Result<(u64, Box<dyn Read + Send>)> {
        let missing = || Error::Malformed {
            what: "the archive",
            problem: format!("it lacks the file {name:?}"),
        };
        self.stream(name)?.ok_or_else(missing)
    }

    /// A whole small file.
    pub fn read(&self, name: &str, limit: u64, what: &'static str) -> Result<Option<Vec<u8>>> {
        let Some((_, stream)) = self.stream(name)? else {
            return Ok(None);
        };
        content::read_document(stream, limit, what).map(Some)
    }
}

fn open_in(dir: &Path, name: &str) -> Result<Option<(u64, Box<dyn Read + Send>)>> {
    if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Ok(None);
    }
    let path = dir.join(name);
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(Error::disk("open", &path))?,
    };
    let meta = file.metadata().map_err(Error::disk("read", path))?;
    Ok(Some((meta.len(), Box::new(file))))
}

fn find(files: &HashMap<String, Place>, name: &str) -> Option<(u64, u64)> {
    let mut name = normal(name)?;
    for _ in 0..MAX_LINKS {
        match files.get(&name)? {
            Place::Bytes { from, size } => return Some((*from, *size)),
            Place::Link { to } => name.clone_from(to),
        }
    }
    None
}

fn decompress(disk: &Disk, file: File) -> Result<File> {
    let mut plain = tempfile::tempfile_in(disk.staging())
        .map_err(Error::disk("create a file in", disk.staging()))?;
    let stream = content::decompress(file).map_err(Error::Tar)?;
    let limit = limits::LAYER_UNPACKED;
    let copied = io::copy(&mut stream.take(limit + 1), &mut plain).map_err(Error::Tar)?;
    if copied > limit {
        return Err(Error::TooLarge {
            what: "the unpacked archive",
            limit,
        });
    }
    plain.seek(SeekFrom::Start(0)).map_err(Error::Tar)?;
    Ok(plain)
}

fn scan(file: &File) -> Result<HashMap<String, Place>> {
    let mut tar = Tarball::new(Seeking(file));
    let mut files = HashMap::new();
    loop {
        let entry = match tar.next() {
            Ok(Some(entry)) => entry,
            Ok(None) => return Ok(files),
            Err(_) if files.is_empty() => return Err(Error::UnknownArchive),
            Err(error) => return Err(Error::Tar(error)),
        };
        let Some(name) = std::str::from_utf8(&entry.path).ok().and_then(normal) else {
            continue;
        };
        let link = |base: &str| {
            std::str::from_utf8(&entry.link)
                .ok()
                .and_then(|to| normal(&format!("{base}/{to}")))
        };
        let place = match entry.kind {
            Kind::File => Some(Place::Bytes {
                from: entry.position,
                size: entry.size,
            }),
            Kind::SymbolicLink => {
                link(name.rsplit_once('/').map_or("", |(dir, _)| dir)).map(|to| Place::Link { to })
            }
            Kind::HardLink => link("").map(|to| Place::Link { to }),
            _ => None,
        };
        files.extend(place.map(|place| (name, place)));
        if files.len() > limits::ARCHIVE_ENTRIES {
            let limit = limits::ARCHIVE_ENTRIES as u64;
            return Err(Error::TooLarge {
                what: "the number of files in the archive",
                limit,
            });
        }
    }
}

/// `a/../b` is `b`; none when it leads out of the archive.
fn normal(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

struct Seeking<'a>(&'a File);

impl Read for Seeking<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl Source for Seeking<'_> {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        let count =
            i64::try_from(count).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        let at = self.0.seek(SeekFrom::Current(count))?;
        if at > self.0.metadata()?.len() {
            Err(io::ErrorKind::UnexpectedEof.into())
        } else {
            Ok(())
        }
    }
}

/// A part of a file, read without moving the file's own position.
struct Slice {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Read for Slice {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.end - self.at)
            .unwrap_or(usize::MAX)
            .min(buf.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.file.read_at(&mut buf[..most], self.at)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += count as u64;
        Ok(count)
    }
}

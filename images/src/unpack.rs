//! From a layer's tar stream to a directory that overlayfs can stack.
//!
//! OCI whiteouts become overlay's: `.wh.x` a character device 0:0 called `x`,
//! `.wh..wh..opq` the attribute `trusted.overlay.opaque`. No entry reaches
//! outside the directory, whatever its path or the links it goes through: see
//! [`tree`].

mod tree;

use std::{collections::BTreeSet, io, io::Read, path::Path};

use rustix::fs::{FileType, Timespec, Timestamps};
use tree::{Name, Tree};

use crate::{
    Error, Result, limits,
    tarball::{Entry, Kind, Source, Tarball},
};

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// What unpacking found out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Directories the stream has entries in, and no entry for: their owner and mode are those of the layer below.
    pub implied: BTreeSet<Vec<u8>>,
}

/// Unpacks `stream` into the empty directory `target`.
///
/// # Errors
/// The stream is no tar, holds what a layer may not hold, or the disk refused; `target` is then half-full.
pub fn unpack(stream: impl Source, target: &Path) -> Result<Unpacked> {
    let mut unpacker = Unpacker {
        tree: Tree::open(target).map_err(Error::disk("open", target))?,
        tar: Tarball::new(stream),
        implied: BTreeSet::new(),
        directories: Vec::new(),
    };
    let mut count = 0;
    while let Some(entry) = unpacker.tar.next().map_err(Error::Tar)? {
        count += 1;
        if count > limits::ENTRIES {
            return Err(Error::TooLarge {
                what: "the number of a layer's entries",
                limit: limits::ENTRIES,
            });
        }
        let fail = |source| Error::Entry {
            name: String::from_utf8_lossy(&entry.path).into_owned(),
            source,
        };
        unpacker.place(&entry).map_err(fail)?;
    }
    unpacker
        .finish()
        .map_err(Error::disk("set times in", target))
}

struct Unpacker<R> {
    tree: Tree,
    tar: Tarball<R>,
    implied: BTreeSet<Vec<u8>>,
    /// Their times are set last: filling a directory changes them.
    directories: Vec<(Vec<u8>, Timestamps)>,
}

impl<R: Source> Unpacker<R> {
    fn place(&mut self, entry: &Entry) -> io::Result<()> {
        let path = tree::clean(&entry.path)?;
        let Some(name) = self.tree.locate(&path, &mut self.implied)? else {
            return self.place_root(entry);
        };
        if let Some(hidden) = name.bytes().strip_prefix(WHITEOUT) {
            return self.white_out(&name, hidden);
        }
        match entry.kind {
            Kind::Directory => self.place_directory(entry, &path, &name)?,
            Kind::File => self.place_file(entry, &name)?,
            Kind::HardLink => return self.place_link(entry, &name),
            Kind::SymbolicLink => {
                self.clear(&name)?;
                name.symlink(&entry.link)?;
            }
            Kind::CharacterDevice | Kind::BlockDevice | Kind::Fifo => {
                self.clear(&name)?;
                name.make_node(node_type(entry.kind), entry.device)?;
            }
        }
        self.dress(entry, &name)
    }

    /// The entry `./`: nothing to make, but its owner, mode and times are the image's root's.
    fn place_root(&mut self, entry: &Entry) -> io::Result<()> {
        if entry.kind != Kind::Directory {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the root is not a directory",
            ));
        }
        self.implied.remove(&b""[..]);
        self.directories.push((Vec::new(), times(entry)));
        self.tree.dress_root(entry.uid, entry.gid, entry.mode)
    }

    fn place_directory(&mut self, entry: &Entry, path: &[u8], name: &Name) -> io::Result<()> {
        match name.kind()? {
            Some(FileType::Directory) => {}
            Some(FileType::CharacterDevice) if name.is_whiteout()? => {
                // The layer hides what is below and puts a directory of its own there.
                self.clear(name)?;
                name.make_directory()?;
                name.make_opaque()?;
            }
            found => {
                if found.is_some() {
                    self.clear(name)?;
                }
                name.make_directory()?;
            }
        }
        self.implied.remove(path);
        self.directories.push((path.to_vec(), times(entry)));
        Ok(())
    }

    fn place_file(&mut self, entry: &Entry, name: &Name) -> io::Result<()> {
        self.clear(name)?;
        let mut file = name.create_file()?;
        let copied = io::copy(&mut self.tar.by_ref().take(entry.size), &mut file)?;
        if copied == entry.size {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    fn place_link(&mut self, entry: &Entry, name: &Name) -> io::Result<()> {
        let target = tree::clean(&entry.link)?;
        let missing = || {
            io::Error::new(
                io::ErrorKind::NotFound,
                "the hard link's target is not in this layer",
            )
        };
        let target = self.tree.find(&target)?.ok_or_else(missing)?;
        if target.is_same(name)? {
            return Ok(());
        }
        if target.kind()?.is_none() {
            return Err(missing());
        }
        self.clear(name)?;
        name.link_to(&target)
    }

    /// Whiteouts hide what is below this layer, never what this layer has itself.
    fn white_out(&mut self, name: &Name, hidden: &[u8]) -> io::Result<()> {
        if name.bytes() == OPAQUE {
            return name.make_parent_opaque();
        }
        if hidden.starts_with(WHITEOUT) {
            return Ok(()); // aufs' own bookkeeping (.wh..wh.plnk)
        }
        let hidden = name.sibling(hidden)?;
        match hidden.kind()? {
            None => hidden.make_node(FileType::CharacterDevice, (0, 0)),
            Some(FileType::Directory) => hidden.make_opaque(),
            Some(_) => Ok(()),
        }
    }

    /// Removes what an earlier entry of the same name made.
    fn clear(&mut self, name: &Name) -> io::Result<()> {
        if name.kind()?.is_some() {
            self.tree.forget();
            name.remove()?;
        }
        Ok(())
    }

    fn dress(&mut self, entry: &Entry, name: &Name) -> io::Result<()> {
        name.set_owner(entry.uid, entry.gid)?;
        for (key, value) in entry.xattrs.iter().filter(|(key, _)| is_kept(key)) {
            name.set_attribute(key, value)?;
        }
        if entry.kind == Kind::SymbolicLink {
            return name.set_times(&times(entry));
        }
        // After the owner: changing that takes the set-user-id bit away.
        name.set_mode(entry.mode)?;
        if entry.kind == Kind::Directory {
            Ok(())
        } else {
            name.set_times(&times(entry))
        }
    }

    fn finish(mut self) -> io::Result<Unpacked> {
        for (path, times) in std::mem::take(&mut self.directories).iter().rev() {
            self.tree.set_directory_times(path, times)?;
        }
        Ok(Unpacked {
            implied: self.implied,
        })
    }
}

/// Overlay's own attributes in a layer could redirect it to other directories.
fn is_kept(key: &[u8]) -> bool {
    key.starts_with(b"user.") && !key.starts_with(b"user.overlay.") || key == b"security.capability"
}

fn node_type(kind: Kind) -> FileType {
    match kind {
        Kind::CharacterDevice => FileType::CharacterDevice,
        Kind::BlockDevice => FileType::BlockDevice,
        _ => FileType::Fifo,
    }
}

fn times(entry: &Entry) -> Timestamps {
    let time = Timespec {
        tv_sec: entry.mtime.0,
        tv_nsec: entry.mtime.1,
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

/// Gives the directories a layer only implies the owner and mode they have in the layers below (top-most last).
pub fn inherit(
    target: &Path,
    implied: &BTreeSet<Vec<u8>>,
    below: &[std::path::PathBuf],
) -> Result<()> {
    let tree = Tree::open(target).map_err(Error::disk("open", target))?;
    let mut lower = Vec::new();
    for dir in below.iter().rev() {
        lower.push(Tree::open(dir).map_err(Error::disk("open", dir))?);
    }
    for path in implied {
        tree.copy_directory_from(&lower, path)
            .map_err(Error::disk("set the owner of directories in", target))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;

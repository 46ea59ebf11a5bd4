//! An image of one store in another on the same machine: without a registry, and
//! without packing what is unpacked.

use std::{
    collections::HashMap,
    fs, io,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, symlink},
    },
    path::{Path, PathBuf},
};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags, chmodat, chownat,
    lgetxattr, llistxattr, lsetxattr, mknodat, utimensat,
};

use crate::{Digest, Error, Result, depot::Depot, index::Record};

/// More than any file system gives a file's attributes (xattr(7)).
const ATTRIBUTES_MAX: usize = 64 << 10;

/// Makes the image of `from` one of `to`; what is there already is not made again.
pub fn copy(from: &Depot, to: &Depot, id: &Digest) -> Result<()> {
    // Nobody removes what is read, nor what nothing names yet.
    let _kept = from.disk.lock_making()?;
    let _made = to.disk.lock_making()?;
    let contents = from.index.read()?;
    let found = contents.images.into_iter().find(|image| image.id == *id);
    let record = found.ok_or_else(|| Error::NotFound {
        wanted: id.to_string(),
    })?;
    for digest in record.documents.iter().chain([&record.id]) {
        if !to.blobs.has(digest) {
            let (file, path) = (to.disk.staged_file()?, from.blobs.path(digest));
            fs::copy(&path, file.path()).map_err(Error::disk("copy", path))?;
            to.blobs.adopt(digest, file)?;
        }
    }
    for name in &record.layers {
        if !to.layers.path(name).is_dir() {
            let staged = to.disk.staged_dir()?;
            let (source, root) = (from.layers.path(name), staged.path().join("layer"));
            let copied = Copy::default().tree(&source, &root);
            copied.map_err(Error::disk("copy the layer", source))?;
            to.layers.publish(&root, name)?;
        }
    }
    to.keep(vec![Record {
        pinned: false,
        ..record
    }])
}

/// A copy of a tree; files that are one in it are one in the copy.
#[derive(Default)]
struct Copy {
    /// By device and inode: where it was first copied to.
    linked: HashMap<(u64, u64), PathBuf>,
}

impl Copy {
    fn tree(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let meta = from.symlink_metadata()?;
        let kind = meta.file_type();
        if kind.is_dir() {
            fs::create_dir(to)?;
            for entry in fs::read_dir(from)? {
                let name = entry?.file_name();
                self.tree(&from.join(&name), &to.join(&name))?;
            }
            return dress(from, to, &meta);
        }
        if meta.nlink() > 1 {
            let id = (meta.dev(), meta.ino());
            if let Some(first) = self.linked.get(&id) {
                return fs::hard_link(first, to);
            }
            self.linked.insert(id, to.to_owned());
        }
        if kind.is_symlink() {
            symlink(fs::read_link(from)?, to)?;
        } else if kind.is_file() {
            fs::copy(from, to)?;
        } else {
            let kind = FileType::from_raw_mode(meta.mode());
            mknodat(CWD, to, kind, Mode::from_raw_mode(meta.mode()), meta.rdev())?;
        }
        dress(from, to, &meta)
    }
}

/// Owner first: a change of it takes set-user-ID bits and capabilities away.
fn dress(from: &Path, to: &Path, meta: &fs::Metadata) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(meta.uid()), Gid::from_raw(meta.gid()));
    chownat(CWD, to, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    if !meta.file_type().is_symlink() {
        chmodat(CWD, to, Mode::from_raw_mode(meta.mode()), AtFlags::empty())?;
    }
    attributes(from, to)?;
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: meta.atime(),
            tv_nsec: meta.atime_nsec(),
        },
        last_modification: Timespec {
            tv_sec: meta.mtime(),
            tv_nsec: meta.mtime_nsec(),
        },
    };
    Ok(utimensat(CWD, to, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// File capabilities, and what overlayfs notes of directories.
fn attributes(from: &Path, to: &Path) -> io::Result<()> {
    let mut names = vec![0; ATTRIBUTES_MAX];
    let length = match llistxattr(from, &mut names) {
        Err(rustix::io::Errno::NOTSUP) => return Ok(()),
        listed => listed?,
    };
    let names = names[..length].split(|byte| *byte == 0);
    for name in names.filter(|name| !name.is_empty()) {
        let name = std::ffi::OsStr::from_bytes(name);
        let mut value = vec![0; ATTRIBUTES_MAX];
        let length = lgetxattr(from, name, &mut value)?;
        lsetxattr(to, name, &value[..length], XattrFlags::empty())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_copied_tree_has_the_modes_links_and_times_of_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("a"), dir.path().join("b"));
        fs::create_dir(&from).unwrap();
        fs::create_dir(from.join("empty")).unwrap();
        fs::write(from.join("su"), "program").unwrap();
        let mode = fs::Permissions::from_mode(0o4711);
        fs::set_permissions(from.join("su"), mode).unwrap();
        fs::hard_link(from.join("su"), from.join("again")).unwrap();
        symlink("nowhere", from.join("link")).unwrap();
        let name = std::ffi::OsStr::new("user.note");
        // Not every file system has them.
        let noted = lsetxattr(from.join("empty"), name, b"x", XattrFlags::empty()).is_ok();

        Copy::default().tree(&from, &to).unwrap();

        let meta = |path: &str| to.join(path).symlink_metadata().unwrap();
        assert_eq!(meta("su").mode() & 0o7777, 0o4711);
        assert_eq!(meta("su").ino(), meta("again").ino());
        assert_eq!(
            fs::read_link(to.join("link")).unwrap(),
            Path::new("nowhere")
        );
        let modified = from.join("su").metadata().unwrap();
        assert_eq!(meta("su").mtime_nsec(), modified.mtime_nsec());
        if noted {
            let mut value = [0; 8];
            let length = lgetxattr(to.join("empty"), name, &mut value).unwrap();
            assert_eq!(&value[..length], b"x");
        }
    }
}

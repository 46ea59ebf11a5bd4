//! Files that containers have mounted, so that they can only be changed where they are.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

/// Has the file hold `content`. What is there already is not touched, and what differs is written
/// over before the rest is cut off: on a full disk running containers keep what they had.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(path)?;
    if holds(&mut file, content)? {
        return Ok(());
    }
    file.rewind()?;
    file.write_all(content)?;
    file.set_len(content.len() as u64)
}

fn holds(file: &mut File, content: &[u8]) -> io::Result<bool> {
    let most = content.len() as u64 + 1;
    let mut there = Vec::new();
    file.take(most).read_to_end(&mut there)?;
    Ok(there == content)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn the_file_stays_the_same_and_holds_what_it_should() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hosts");
        for content in ["", "127.0.0.1 localhost", "short", "and longer than before"] {
            write(&path, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        let before = fs::metadata(&path).unwrap();
        write(&path, b"other").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().ino(), before.ino());
    }

    #[test]
    fn what_is_right_is_not_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hosts");
        write(&path, b"content").unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        let long_ago = std::time::UNIX_EPOCH;
        file.set_modified(long_ago).unwrap();
        write(&path, b"content").unwrap();
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        assert_eq!(modified, long_ago);
    }
}

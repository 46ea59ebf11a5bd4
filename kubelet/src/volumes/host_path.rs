//! `hostPath`: a path of the node, after a look at what it is.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Makes sure that `path` is of the `kind` the pod asks for, creating it where
/// the kind says so.
///
/// # Errors
/// The message Kubernetes gives for a path of another kind.
pub fn prepare(path: &Path, kind: &str) -> Result<(), String> {
    create(path, kind).map_err(|e| format!("create {}: {e}", path.display()))?;
    let found = fs::metadata(path).ok().map(|metadata| metadata.file_type());
    let (is_it, what) = match kind {
        "" => return Ok(()),
        "Directory" | "DirectoryOrCreate" => (found.is_some_and(|f| f.is_dir()), "a directory"),
        "File" | "FileOrCreate" => (found.is_some_and(|f| f.is_file()), "a file"),
        "Socket" => (found.is_some_and(|f| f.is_socket()), "a socket file"),
        "CharDevice" => (
            found.is_some_and(|f| f.is_char_device()),
            "a character device",
        ),
        "BlockDevice" => (found.is_some_and(|f| f.is_block_device()), "a block device"),
        other => return Err(format!("{other} is an invalid volume type")),
    };
    if is_it {
        return Ok(());
    }
    Err(format!(
        "hostPath type check failed: {} is not {what}",
        path.display()
    ))
}

fn create(path: &Path, kind: &str) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    match kind {
        // Without a type, what is missing becomes a directory, as with other runtimes.
        "" | "DirectoryOrCreate" => DirBuilder::new().recursive(true).mode(0o755).create(path),
        "FileOrCreate" => OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(path)
            .map(drop),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_no_directory() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let message = prepare(file.path(), "Directory").unwrap_err();
        assert_eq!(
            message,
            format!(
                "hostPath type check failed: {} is not a directory",
                file.path().display()
            )
        );
    }

    #[test]
    fn only_kinds_that_say_so_are_created() {
        let dir = tempfile::tempdir().unwrap();
        assert!(prepare(&dir.path().join("a"), "Directory").is_err());
        assert!(prepare(&dir.path().join("a"), "DirectoryOrCreate").is_ok());
        assert!(prepare(&dir.path().join("f"), "FileOrCreate").is_ok());
        assert!(dir.path().join("a").is_dir() && dir.path().join("f").is_file());
    }
}

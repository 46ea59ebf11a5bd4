//! The bundle's files in memory, and the one file that they become.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;

/// The end of what is longer is kept: there the newest lines are.
const LARGEST_FILE: usize = 8 << 20;
const LARGEST: usize = 128 << 20;
/// The directory that it unpacks to.
const ROOT: &str = "skiff-support";

pub struct Archive {
    at: Timestamp,
    files: Vec<(String, Vec<u8>)>,
    size: usize,
    missed: Vec<String>,
}

impl Archive {
    pub fn new(at: Timestamp) -> Self {
        Self {
            at,
            files: Vec::new(),
            size: 0,
            missed: Vec::new(),
        }
    }

    pub fn add(&mut self, name: impl Into<String>, content: impl Into<Vec<u8>>) {
        let (name, mut content) = (name.into(), content.into());
        if content.len() > LARGEST_FILE {
            let cut = content.len() - LARGEST_FILE;
            content.drain(..cut);
            self.missed(&name, &format!("the first {cut} bytes, for it is too long"));
        }
        if self.size + content.len() > LARGEST {
            return self.missed(&name, "the bundle is full");
        }
        self.size += content.len();
        self.files.push((name, content));
    }

    /// Something that should be there and is not.
    pub fn missed(&mut self, name: &str, why: &str) {
        self.missed.push(format!("{name}: {why}"));
    }

    pub fn files(&self) -> impl Iterator<Item = (&str, usize)> {
        self.files
            .iter()
            .map(|(name, content)| (name.as_str(), content.len()))
    }

    pub fn all_missed(&self) -> &[String] {
        &self.missed
    }

    /// Writes a new file, which only its owner may read.
    ///
    /// # Errors
    /// There is such a file, or it cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let opened = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path);
        let file = opened.with_context(|| format!("make {}", path.display()))?;
        let written = self.write_into(file);
        if written.is_err() {
            // Half a bundle helps nobody.
            let _ = std::fs::remove_file(path);
        }
        written.with_context(|| format!("write {}", path.display()))
    }

    fn write_into(&self, file: File) -> std::io::Result<()> {
        let mut tar = tar::Builder::new(GzEncoder::new(file, Compression::default()));
        let missed = self.missed.join("\n") + "\n";
        let own = [("missing.txt", missed.as_bytes())];
        let files = self
            .files
            .iter()
            .map(|(name, content)| (name.as_str(), content.as_slice()));
        for (name, content) in own.into_iter().chain(files) {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o600);
            header.set_size(content.len() as u64);
            header.set_mtime(u64::try_from(self.at.as_second()).unwrap_or(0));
            tar.append_data(&mut header, format!("{ROOT}/{name}"), content)?;
        }
        let mut file = tar.into_inner()?.finish()?;
        file.flush()?;
        file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_bundle_can_be_read_by_its_owner_alone_and_holds_all_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b.tar.gz");
        let mut archive = Archive::new(Timestamp::UNIX_EPOCH);
        archive.add("a/b.txt", "hello");
        archive.missed("c", "no such thing");
        archive.write(&path).unwrap();
        let file = File::open(&path).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(file));
        let mut found = Vec::new();
        for entry in tar.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            found.push((entry.path().unwrap().display().to_string(), text));
        }
        let expected = [("missing.txt", "c: no such thing\n"), ("a/b.txt", "hello")];
        let expected = expected.map(|(name, text)| (format!("{ROOT}/{name}"), text.to_owned()));
        assert_eq!(found, expected);
        assert!(archive.write(&path).is_err(), "nothing is overwritten");
    }

    #[test]
    fn of_a_long_log_the_end_is_kept_and_it_is_said() {
        let mut archive = Archive::new(Timestamp::UNIX_EPOCH);
        let mut log = vec![b'x'; LARGEST_FILE];
        log.extend(b"the end");
        archive.add("log", log);
        assert_eq!(archive.files().next(), Some(("log", LARGEST_FILE)));
        assert!(archive.files[0].1.ends_with(b"the end"));
        assert!(archive.all_missed()[0].contains("first 7 bytes"));
    }
}

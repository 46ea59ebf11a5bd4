//! One file that installing makes: replaced whole, and only if it differs.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::settings::Settings;

pub struct File {
    pub path: PathBuf,
    pub contents: Contents,
}

pub enum Contents {
    /// This program's own file.
    OwnBinary,
    /// Text that everybody may read.
    Public(String),
    /// Text for root alone: a token may be in it.
    Private(String),
}

impl File {
    /// Makes the file what it is to be; says so, and returns whether it was not.
    pub fn put(&self) -> anyhow::Result<bool> {
        let path = self.path.display();
        let was_there = self.path.exists();
        let changed = self.make().with_context(|| format!("install {path}"))?;
        let what = match (changed, was_there) {
            (false, _) => "unchanged",
            (true, true) => "changed",
            (true, false) => "written",
        };
        println!("{path}: {what}");
        Ok(changed)
    }

    fn make(&self) -> anyhow::Result<bool> {
        if let Some(dir) = self.path.parent() {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(0o755).create(dir)?;
        }
        match &self.contents {
            Contents::OwnBinary => copy_own(&self.path),
            Contents::Public(text) => put_text(&self.path, text, || {
                pki::private_file::write_public(&self.path, text.as_bytes())
            }),
            Contents::Private(text) => put_text(&self.path, text, || {
                pki::private_file::write(&self.path, text.as_bytes())
            }),
        }
    }

    /// Prints what would be written, without secrets.
    pub fn show(&self, settings: &Settings) {
        let path = self.path.display();
        match &self.contents {
            Contents::OwnBinary => println!("# {path}: this program\n"),
            Contents::Public(text) => println!("# {path}\n{text}"),
            Contents::Private(text) => println!("# {path}\n{}", settings.without_secrets(text)),
        }
    }
}

fn put_text(
    path: &Path,
    text: &str,
    write: impl Fn() -> Result<(), pki::Error>,
) -> anyhow::Result<bool> {
    if pki::private_file::read(path)?.is_some_and(|found| found == text) {
        return Ok(false);
    }
    write()?;
    Ok(true)
}

/// A running skiff keeps the file that it was started from.
fn copy_own(path: &Path) -> anyhow::Result<bool> {
    let mut own = fs::File::open("/proc/self/exe").context("open skiff's own file")?;
    if is_same(&own, path)? {
        return Ok(false);
    }
    let unfinished = path.with_extension(format!("{}.new", std::process::id()));
    let _ = fs::remove_file(&unfinished);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o755)
        .open(&unfinished)?;
    let copied = std::io::copy(&mut own, &mut file)
        .and_then(|_| file.sync_all())
        .and_then(|()| fs::rename(&unfinished, path));
    if copied.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    copied?;
    Ok(true)
}

fn is_same(own: &fs::File, path: &Path) -> std::io::Result<bool> {
    let there = match fs::File::open(path) {
        Ok(there) => there,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if own.metadata()?.len() != there.metadata()?.len() {
        return Ok(false);
    }
    // Opened anew: whoever copies `own` begins at its beginning.
    have_same_contents(fs::File::open("/proc/self/exe")?, there)
}

fn have_same_contents(a: impl Read, b: impl Read) -> std::io::Result<bool> {
    let (mut a, mut b) = (BufReader::new(a), BufReader::new(b));
    loop {
        let (left, right) = (a.fill_buf()?, b.fill_buf()?);
        let n = left.len().min(right.len());
        if n == 0 {
            return Ok(left.is_empty() && right.is_empty());
        }
        if left[..n] != right[..n] {
            return Ok(false);
        }
        a.consume(n);
        b.consume(n);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_compared_to_their_ends() {
        let same = |a: &[u8], b: &[u8]| have_same_contents(a, b).unwrap();
        let long = vec![7; 100_000];
        assert!(same(&long, &long) && same(b"", b""));
        assert!(!same(&long, &long[1..]) && !same(b"", b"a"));
        let mut other = long.clone();
        other[99_999] = 8;
        assert!(!same(&long, &other));
    }
}

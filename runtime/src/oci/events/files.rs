//! The files of a group that tell what it uses. What the machine lacks counts as nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::str::FromStr;

/// A group's directory, where its controller is there at all.
pub struct Files(pub Option<PathBuf>);

impl Files {
    pub fn text(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.0.as_ref()?.join(file)).ok()
    }

    /// The number in the file; `max` is all there is of it.
    pub fn number(&self, file: &str) -> u64 {
        match self.text(file).as_deref().map(str::trim) {
            Some("max") => u64::MAX,
            Some(number) => number.parse().unwrap_or(0),
            None => 0,
        }
    }

    /// The lines of the form `key number`.
    pub fn keyed(&self, file: &str) -> BTreeMap<String, u64> {
        let text = self.text(file).unwrap_or_default();
        let pair = |line: &str| {
            let (key, number) = line.split_once(' ')?;
            Some((key.to_owned(), number.trim().parse().ok()?))
        };
        text.lines().filter_map(pair).collect()
    }

    /// `0-2,5` as its numbers.
    pub fn list(&self, file: &str) -> Vec<u16> {
        let text = self.text(file).unwrap_or_default();
        let part = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
            Some(first..=last)
        };
        text.trim().split(',').filter_map(part).flatten().collect()
    }

    /// The numbers in one line, between spaces.
    pub fn numbers(&self, file: &str) -> Vec<u64> {
        let text = self.text(file).unwrap_or_default();
        text.split_whitespace().filter_map(parse).collect()
    }

    /// The sizes of huge pages that there are files for, as those of `end` are called.
    pub fn page_sizes(&self, end: &str) -> Vec<String> {
        let entries = self.0.iter().flat_map(fs::read_dir).flatten().flatten();
        let names = entries.filter_map(|e| e.file_name().into_string().ok());
        let size = |name: String| {
            let size = name.strip_prefix("hugetlb.")?.strip_suffix(end)?;
            (!size.contains('.')).then(|| size.to_owned())
        };
        let mut sizes: Vec<String> = names.filter_map(size).collect();
        sizes.sort();
        sizes
    }
}

pub fn parse<T: FromStr>(word: &str) -> Option<T> {
    word.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_numbers_are_read_and_what_is_missing_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let write = |file, text| fs::write(dir.path().join(file), text).unwrap();
        write("list", "0-2,5\n");
        write("limit", "max\n");
        write("stat", "rss 12\nbad\ncache 3\n");
        write("hugetlb.2MB.current", "0");
        write("hugetlb.2MB.rsvd.current", "0");
        let files = Files(Some(dir.path().to_owned()));
        assert_eq!(files.list("list"), [0, 1, 2, 5]);
        assert_eq!(files.number("limit"), u64::MAX);
        assert_eq!(files.keyed("stat").len(), 2);
        assert_eq!(files.page_sizes(".current"), ["2MB"]);
        let none = Files(None);
        assert_eq!((none.number("limit"), none.list("list").len()), (0, 0));
    }
}

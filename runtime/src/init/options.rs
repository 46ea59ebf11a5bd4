//! Mount options, as the OCI spec writes them.

use sys::mount::{Attributes, Change, Propagation, Reach};

/// What a mount's list of options asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    pub set: Attributes,
    pub clear: Attributes,
    /// `rro`: read-only all the way down.
    pub recursive: Attributes,
    pub propagation: Option<(Propagation, Reach)>,
    pub bind: Option<BindReach>,
    /// The file system's own options.
    pub data: Vec<(String, Option<String>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindReach {
    This,
    Recursive,
}

impl Options {
    pub fn parse<S: AsRef<str>>(words: &[S]) -> Self {
        let mut options = Self::default();
        words.iter().for_each(|word| options.read(word.as_ref()));
        options
    }

    fn read(&mut self, word: &str) {
        if let Some((attribute, is_set)) = attribute(word) {
            let (to, from) = if is_set {
                (&mut self.set, &mut self.clear)
            } else {
                (&mut self.clear, &mut self.set)
            };
            *to |= attribute;
            *from = from.without(attribute);
            return;
        }
        match word {
            "bind" => self.bind = self.bind.or(Some(BindReach::This)),
            "rbind" => self.bind = Some(BindReach::Recursive),
            "rro" => self.recursive |= Attributes::READ_ONLY,
            word if propagation(word).is_some() => self.propagation = propagation(word),
            // The defaults, and what only matters to mount(8).
            "defaults" | "relatime" | "async" | "silent" | "loud" | "remount" | "tmpcopyup" => {}
            data => {
                let (key, value) = data
                    .split_once('=')
                    .map_or((data, None), |(k, v)| (k, Some(v)));
                self.data.push((key.to_owned(), value.map(str::to_owned)));
            }
        }
    }

    /// The change of a bound mount's own attributes.
    pub fn change(&self) -> Change {
        let mut clear = self.clear;
        let ways = [Attributes::NO_ATIME, Attributes::STRICT_ATIME];
        if ways.iter().any(|&w| self.set.contains(w)) {
            // mount_setattr(2): one way replaces another only where all are cleared.
            clear |= Attributes::ATIME;
        }
        Change {
            set: self.set,
            clear,
            propagation: None,
        }
    }

    /// How far a bind reaches.
    pub fn reach(&self) -> Reach {
        match self.bind {
            Some(BindReach::Recursive) => Reach::Recursive,
            _ => Reach::This,
        }
    }
}

/// The propagation a word names, and how far it reaches.
pub fn propagation(word: &str) -> Option<(Propagation, Reach)> {
    let (reach, kind) = match word.strip_prefix('r') {
        Some(kind) => (Reach::Recursive, kind),
        None => (Reach::This, word),
    };
    let propagation = match kind {
        "private" => Propagation::Private,
        "slave" => Propagation::Slave,
        "shared" => Propagation::Shared,
        "unbindable" => Propagation::Unbindable,
        _ => return None,
    };
    Some((propagation, reach))
}

/// The attribute a word is about, and whether it sets or clears it.
fn attribute(word: &str) -> Option<(Attributes, bool)> {
    Some(match word {
        "ro" => (Attributes::READ_ONLY, true),
        "rw" => (Attributes::READ_ONLY, false),
        "nosuid" => (Attributes::NO_SUID, true),
        "suid" => (Attributes::NO_SUID, false),
        "nodev" => (Attributes::NO_DEV, true),
        "dev" => (Attributes::NO_DEV, false),
        "noexec" => (Attributes::NO_EXEC, true),
        "exec" => (Attributes::NO_EXEC, false),
        "noatime" => (Attributes::NO_ATIME, true),
        "strictatime" => (Attributes::STRICT_ATIME, true),
        "nodiratime" => (Attributes::NO_DIR_ATIME, true),
        "diratime" => (Attributes::NO_DIR_ATIME, false),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_two_opposite_words_counts() {
        let options = Options::parse(&["ro", "rw", "suid", "nosuid"]);
        assert_eq!(
            (options.set, options.clear),
            (Attributes::NO_SUID, Attributes::READ_ONLY)
        );
    }

    #[test]
    fn what_is_no_attribute_goes_to_the_file_system() {
        let options = Options::parse(&["nosuid", "size=64k", "newinstance"]);
        let data = [
            ("size".to_owned(), Some("64k".to_owned())),
            ("newinstance".to_owned(), None),
        ];
        assert_eq!(options.data, data);
    }

    #[test]
    fn a_recursive_bind_is_not_narrowed_by_a_later_bind() {
        assert_eq!(Options::parse(&["rbind", "bind"]).reach(), Reach::Recursive);
    }

    #[test]
    fn recursive_read_only_is_told_from_read_only() {
        let options = Options::parse(&["rbind", "rro"]);
        assert!(options.set.is_empty());
        assert_eq!(options.recursive, Attributes::READ_ONLY);
    }
}

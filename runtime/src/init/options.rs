//! Mount options, as the OCI spec writes them.

use sys::mount::{Attributes, Change, Propagation, Reach};

/// What a mount's list of options asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    pub set: Attributes,
    pub clear: Attributes,
    /// `rro`, `rnosuid` and the like: all the way down.
    pub recursive: Recursive,
    pub propagation: Option<(Propagation, Reach)>,
    pub bind: Option<Reach>,
    /// Whether ids are mapped, and how far down.
    pub idmap: Option<Reach>,
    /// A mount that is there already is changed.
    pub is_remount: bool,
    /// A tmpfs begins with what the image has at its place.
    pub copies_up: bool,
    /// The file system's own options.
    pub data: Vec<(String, Option<String>)>,
}

/// Attributes of a whole tree of mounts.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Recursive {
    pub set: Attributes,
    pub clear: Attributes,
}

impl Options {
    pub fn parse<S: AsRef<str>>(words: &[S]) -> Self {
        let mut options = Self::default();
        words.iter().for_each(|word| options.read(word.as_ref()));
        options
    }

    fn read(&mut self, word: &str) {
        if let Some((set, clear)) = attribute(word) {
            change(&mut self.set, &mut self.clear, set, clear);
            return;
        }
        if let Some((set, clear)) = word.strip_prefix('r').and_then(attribute) {
            let Recursive {
                set: all,
                clear: none,
            } = &mut self.recursive;
            change(all, none, set, clear);
            return;
        }
        match word {
            "bind" => self.bind = self.bind.or(Some(Reach::This)),
            "rbind" => self.bind = Some(Reach::Recursive),
            "idmap" => self.idmap = self.idmap.or(Some(Reach::This)),
            "ridmap" => self.idmap = Some(Reach::Recursive),
            "remount" => self.is_remount = true,
            "tmpcopyup" => self.copies_up = true,
            word if propagation(word).is_some() => self.propagation = propagation(word),
            // The defaults; what only matters to mount(8); and what the kernel does for
            // every file system that can, with no way to ask for it by name.
            "defaults" | "silent" | "loud" | "acl" | "noacl" | "iversion" | "noiversion" => {}
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
        Change {
            set: self.set,
            clear: self.clear,
            ..Change::default()
        }
    }

    /// The change of all mounts of a bound tree.
    pub fn recursive_change(&self) -> Change {
        Change {
            set: self.recursive.set,
            clear: self.recursive.clear,
            ..Change::default()
        }
    }

    /// How far a bind reaches.
    pub fn reach(&self) -> Reach {
        self.bind.unwrap_or(Reach::This)
    }
}

/// The last word about an attribute counts.
fn change(set: &mut Attributes, clear: &mut Attributes, to_set: Attributes, to_clear: Attributes) {
    *set = set.without(to_clear) | to_set;
    *clear = clear.without(to_set) | to_clear;
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

/// What a word sets, and what it clears.
fn attribute(word: &str) -> Option<(Attributes, Attributes)> {
    let none = Attributes::default();
    Some(match word {
        "ro" => (Attributes::READ_ONLY, none),
        "rw" => (none, Attributes::READ_ONLY),
        "nosuid" => (Attributes::NO_SUID, none),
        "suid" => (none, Attributes::NO_SUID),
        "nodev" => (Attributes::NO_DEV, none),
        "dev" => (none, Attributes::NO_DEV),
        "noexec" => (Attributes::NO_EXEC, none),
        "exec" => (none, Attributes::NO_EXEC),
        "nodiratime" => (Attributes::NO_DIR_ATIME, none),
        "diratime" => (none, Attributes::NO_DIR_ATIME),
        "nosymfollow" => (Attributes::NO_SYMLINKS, none),
        "symfollow" => (none, Attributes::NO_SYMLINKS),
        // mount_setattr(2): one way replaces another only where all are cleared;
        // with none of them set access times are kept relatively.
        "noatime" => (Attributes::NO_ATIME, Attributes::ATIME),
        "strictatime" => (Attributes::STRICT_ATIME, Attributes::ATIME),
        "atime" | "relatime" | "norelatime" | "nostrictatime" => (none, Attributes::ATIME),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_two_opposite_words_counts() {
        let options = Options::parse(&["ro", "rw", "suid", "nosuid", "noatime", "strictatime"]);
        assert_eq!(
            (options.set, options.clear.without(Attributes::ATIME)),
            (
                Attributes::NO_SUID | Attributes::STRICT_ATIME,
                Attributes::READ_ONLY
            )
        );
    }

    #[test]
    fn what_is_no_attribute_goes_to_the_file_system() {
        let options = Options::parse(&["nosuid", "size=64k", "newinstance", "sync", "ratio=5"]);
        let data = [
            ("size".to_owned(), Some("64k".to_owned())),
            ("newinstance".to_owned(), None),
            ("sync".to_owned(), None),
            ("ratio".to_owned(), Some("5".to_owned())),
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
        assert_eq!(options.recursive.set, Attributes::READ_ONLY);
    }

    #[test]
    fn every_word_of_the_spec_is_an_option_and_no_file_systems_own() {
        let words = "acl atime bind defaults dev diratime exec idmap iversion loud noacl noatime \
            nodev nodiratime noexec noiversion norelatime nostrictatime nosuid nosymfollow private \
            ratime rbind rdev rdiratime relatime remount rexec ridmap rnoatime rnodev rnodiratime \
            rnoexec rnorelatime rnostrictatime rnosuid rnosymfollow ro rprivate rrelatime rro rrw \
            rshared rslave rstrictatime rsuid rsymfollow runbindable rw shared silent slave \
            strictatime suid symfollow tmpcopyup unbindable";
        let words: Vec<&str> = words.split_whitespace().collect();
        assert_eq!(Options::parse(&words).data, []);
    }
}

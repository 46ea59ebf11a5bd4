//! What a list had so far.

use std::collections::HashSet;

/// The texts met while a list is walked: a few are looked through, more are hashed.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    few: Vec<String>,
    many: HashSet<String>,
}

const FEW_MAX: usize = 8;

impl Seen {
    pub fn new() -> Self {
        Seen::default()
    }

    /// False if the text was there before.
    pub fn insert(&mut self, text: String) -> bool {
        if self.contains(&text) {
            return false;
        }
        if self.many.is_empty() && self.few.len() < FEW_MAX {
            self.few.push(text);
        } else {
            self.many.extend(self.few.drain(..));
            self.many.insert(text);
        }
        true
    }

    pub fn contains(&self, text: &str) -> bool {
        self.few.iter().any(|seen| seen == text) || self.many.contains(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_stays_seen_however_many_follow() {
        let mut seen = Seen::new();
        for n in 0..3 * FEW_MAX {
            assert!(
                !seen.contains(&n.to_string()) && seen.insert(n.to_string()),
                "{n}"
            );
            assert!(
                (0..=n).all(|before| !seen.insert(before.to_string())),
                "{n}"
            );
        }
    }
}

//! What was used lately, in bounded memory.

use std::collections::HashMap;

/// Values by the hash of what they are about. When a generation is full, the
/// one before it is forgotten; what is used moves to the new one. So at least
/// the last `generation` values are there, and never more than twice as many.
#[derive(Debug)]
pub struct Recent<V> {
    young: HashMap<u64, V>,
    old: HashMap<u64, V>,
    generation: usize,
}

impl<V> Recent<V> {
    pub fn new(generation: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            generation,
        }
    }

    /// What is there, or else what `make` makes.
    pub fn entry(&mut self, key: u64, make: impl FnOnce() -> V) -> &mut V {
        if !self.young.contains_key(&key) {
            if self.young.len() >= self.generation {
                let full = std::mem::take(&mut self.young);
                let kept = std::mem::replace(&mut self.old, full).remove(&key);
                let value = kept.or_else(|| self.old.remove(&key));
                return self
                    .young
                    .entry(key)
                    .or_insert_with(|| value.unwrap_or_else(make));
            }
            let value = self.old.remove(&key).unwrap_or_else(make);
            self.young.insert(key, value);
        }
        self.young
            .get_mut(&key)
            .expect("it was there or was just put there")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_is_kept_and_the_rest_is_bounded() {
        let mut recent = Recent::new(4);
        for key in 0..100 {
            *recent.entry(1000, || 0) += 1;
            recent.entry(key, || 0);
            assert!(recent.young.len() + recent.old.len() <= 8);
        }
        assert_eq!(*recent.entry(1000, || 0), 100);
    }

    #[test]
    fn what_was_not_used_for_two_generations_is_forgotten() {
        let mut recent = Recent::new(2);
        *recent.entry(1, || 0) = 7;
        for key in 2..6 {
            recent.entry(key, || 0);
        }
        assert_eq!(*recent.entry(1, || 0), 0);
    }
}

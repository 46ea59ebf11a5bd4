//! Specs that many waiting pods have in common, held once.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::object::PodSpec;

/// Pods of one controller come one after the other, those of a few at a time.
const RECENT: usize = 16;

/// The specs seen last.
#[derive(Default)]
pub struct Specs(VecDeque<Arc<PodSpec>>);

impl Specs {
    /// The same spec, shared with those that have it too.
    pub fn share(&mut self, spec: Arc<PodSpec>) -> Arc<PodSpec> {
        if let Some(same) = self.0.iter().find(|known| ***known == *spec) {
            return same.clone();
        }
        self.0.truncate(RECENT - 1);
        self.0.push_front(spec.clone());
        spec
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_specs_are_one_and_others_stay_their_own() {
        let spec = |priority| {
            Arc::new(PodSpec {
                priority,
                ..PodSpec::default()
            })
        };
        let mut specs = Specs::default();
        let first = specs.share(spec(Some(1)));
        let other = specs.share(spec(Some(2)));
        assert!(Arc::ptr_eq(&first, &specs.share(spec(Some(1)))));
        assert!(!Arc::ptr_eq(&first, &other));
    }
}

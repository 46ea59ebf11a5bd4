//! What other servers answered, taken as their word for a while.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// Answers held at once; past that no more are until some have run out.
const HELD_MAX: usize = 4096;

/// Answers by what was asked, of which only a digest is kept: it may be a secret.
pub struct Held<T>(Mutex<HashMap<[u8; 32], (T, Instant)>>);

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Held<T> {
    pub fn get(&self, asked: &str) -> Option<T> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (answer, until) = held.get(&digest(asked))?;
        (*until > Instant::now()).then(|| answer.clone())
    }

    pub fn keep(&self, asked: &str, answer: T, time: Duration) {
        let now = Instant::now();
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= HELD_MAX {
            held.retain(|_, (_, until)| *until > now);
        }
        if held.len() < HELD_MAX {
            held.insert(digest(asked), (answer, now + time));
        }
    }
}

fn digest(asked: &str) -> [u8; 32] {
    Sha256::digest(asked).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_holds_for_its_time_only() {
        let held = Held::default();
        held.keep("a", 1, Duration::from_secs(60));
        held.keep("b", 2, Duration::ZERO);
        assert_eq!((held.get("a"), held.get("b")), (Some(1), None));
        assert_eq!(held.get("c"), None);
    }
}

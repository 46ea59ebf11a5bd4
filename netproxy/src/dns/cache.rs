//! Answers from outside, kept for seconds.
//!
//! The key is the whole question as it was asked, so an answer only ever goes
//! to who asked in just that way: same case, same flags, same size allowed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RData;
use tokio::time::Instant;

const MAX_ENTRIES: usize = 1024;
const MAX_ANSWER: usize = 4096;

/// Kept answers are handed on with the lifetime they came with, so they are
/// not kept long.
const LONGEST: Duration = Duration::from_secs(30);
const LONGEST_NEGATIVE: Duration = Duration::from_secs(5);

#[derive(Default)]
pub struct Cache {
    entries: Mutex<HashMap<Vec<u8>, Entry>>,
}

struct Entry {
    answer: Vec<u8>,
    expires: Instant,
}

impl Cache {
    /// The answer to that question (both without their id).
    pub fn get(&self, question: &[u8]) -> Option<Vec<u8>> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(question)?;
        (entry.expires > Instant::now()).then(|| entry.answer.clone())
    }

    pub fn put(&self, question: &[u8], answer: &[u8], lifetime: Duration) {
        if lifetime.is_zero() || answer.len() > MAX_ANSWER {
            return;
        }
        let now = Instant::now();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MAX_ENTRIES {
            entries.retain(|_, entry| entry.expires > now);
        }
        if entries.len() < MAX_ENTRIES {
            let entry = Entry {
                answer: answer.to_vec(),
                expires: now + lifetime,
            };
            entries.insert(question.to_vec(), entry);
        }
    }
}

/// How long an answer may be kept: as long as all of it says.
pub fn lifetime(answer: &Message) -> Duration {
    let is_final = matches!(
        answer.metadata.response_code,
        ResponseCode::NoError | ResponseCode::NXDomain
    );
    if answer.metadata.truncation || !is_final {
        return Duration::ZERO;
    }
    let seconds = |ttl: u32| Duration::from_secs(ttl.into());
    if answer.answers.is_empty() {
        let soa = answer
            .authorities
            .iter()
            .find_map(|record| match &record.data {
                RData::SOA(soa) => Some(seconds(soa.minimum.min(record.ttl))),
                _ => None,
            });
        return soa.unwrap_or_default().min(LONGEST_NEGATIVE);
    }
    let shortest = answer.answers.iter().map(|record| record.ttl).min();
    seconds(shortest.unwrap_or_default()).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn answer_is_kept_for_its_lifetime() {
        let cache = Cache::default();
        cache.put(b"q", b"a", Duration::from_secs(3));
        assert_eq!(cache.get(b"q"), Some(b"a".to_vec()));
        assert_eq!(cache.get(b"Q"), None);
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(cache.get(b"q"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn full_cache_makes_room_only_from_what_is_over() {
        let cache = Cache::default();
        for n in 0..MAX_ENTRIES {
            cache.put(&n.to_be_bytes(), b"a", Duration::from_secs(3));
        }
        cache.put(b"late", b"a", Duration::from_secs(3));
        assert_eq!(cache.get(b"late"), None);
        tokio::time::advance(Duration::from_secs(4)).await;
        cache.put(b"late", b"a", Duration::from_secs(3));
        assert!(cache.get(b"late").is_some());
    }
}

//! Latencies, counted in buckets that grow with what they count.

use std::time::Duration;

/// Each doubling is cut into this many buckets, so a figure is off by 3 % at most.
const STEPS: u64 = 32;
const BUCKETS: usize = 40 * STEPS as usize;

/// How often which latency was seen.
#[derive(Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    longest: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            total: 0,
            longest: 0,
        }
    }
}

impl Histogram {
    pub fn record(&mut self, latency: Duration) {
        self.record_micros(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }

    pub fn record_micros(&mut self, micros: u64) {
        self.counts[bucket(micros)] += 1;
        self.total += 1;
        self.longest = self.longest.max(micros);
    }

    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.longest = self.longest.max(other.longest);
    }

    pub fn total(&self) -> u64 {
        self.total
    }

    pub fn longest(&self) -> Duration {
        Duration::from_micros(self.longest)
    }

    /// The latency that `percent` of all were not above.
    pub fn percentile(&self, percent: f64) -> Duration {
        let wanted = (self.total as f64 * percent / 100.0).ceil() as u64;
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return Duration::from_micros(upper(at)).min(self.longest());
            }
        }
        self.longest()
    }
}

fn bucket(micros: u64) -> usize {
    if micros < STEPS {
        return micros as usize;
    }
    let doublings = u64::from(micros.ilog2()) - u64::from(STEPS.ilog2());
    let at = doublings * STEPS + (micros >> doublings);
    (at as usize).min(BUCKETS - 1)
}

/// The greatest value of a bucket.
fn upper(at: usize) -> u64 {
    let at = at as u64;
    if at < STEPS {
        return at;
    }
    let doublings = at / STEPS - 1;
    ((at % STEPS + STEPS + 1) << doublings) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_a_bucket_that_ends_at_most_3_percent_above() {
        for micros in [0, 1, 31, 32, 33, 63, 64, 1000, 12_345, 9_999_999] {
            let end = upper(bucket(micros));
            assert!(end >= micros, "{micros} {end}");
            assert!(end as f64 <= micros as f64 * 1.04, "{micros} {end}");
        }
    }

    #[test]
    fn percentiles_are_those_of_all_that_was_merged() {
        let (mut low, mut high) = (Histogram::default(), Histogram::default());
        (0..98).for_each(|_| low.record_micros(10));
        (0..2).for_each(|_| high.record_micros(5000));
        low.merge(&high);
        assert_eq!(low.percentile(50.0).as_micros(), 10);
        assert_eq!(low.percentile(99.0).as_micros(), 5000);
    }
}

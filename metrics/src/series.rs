//! What is counted under one set of labels.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use crate::text::{Kind, Labels, Text};

/// One line, or the lines of one histogram.
pub trait Series: Send + Sync + 'static {
    const KIND: Kind;
    /// `bounds` are a histogram's.
    fn new(bounds: &'static [f64]) -> Self;
    fn write(&self, name: &str, labels: &Labels, text: &mut Text);
}

/// It only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn inc(&self) {
        self.add(1);
    }

    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Series for Counter {
    const KIND: Kind = Kind::Counter;

    fn new(_: &'static [f64]) -> Self {
        Self::default()
    }

    fn write(&self, name: &str, labels: &Labels, text: &mut Text) {
        text.sample(name, labels, self.get());
    }
}

/// It is what it was last set to.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    pub fn set(&self, value: impl TryInto<i64>) {
        let value = value.try_into().unwrap_or(i64::MAX);
        self.0.store(value, Ordering::Relaxed);
    }

    pub fn inc(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub fn dec(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Series for Gauge {
    const KIND: Kind = Kind::Gauge;

    fn new(_: &'static [f64]) -> Self {
        Self::default()
    }

    fn write(&self, name: &str, labels: &Labels, text: &mut Text) {
        text.sample(name, labels, self.get());
    }
}

/// How many values were at most each of some bounds, and their sum.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    /// One more than there are bounds: the last is of what is above all.
    counts: Box<[AtomicU64]>,
    /// In billionths: seconds as nanoseconds.
    sum: AtomicU64,
}

impl Histogram {
    pub fn observe(&self, value: f64) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        self.counts[at].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add((value * 1e9) as u64, Ordering::Relaxed);
    }

    pub fn took(&self, time: Duration) {
        self.observe(time.as_secs_f64());
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().map(|c| c.load(Ordering::Relaxed)).sum()
    }
}

impl Series for Histogram {
    const KIND: Kind = Kind::Histogram;

    fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }
    }

    fn write(&self, name: &str, labels: &Labels, text: &mut Text) {
        let bucket = format!("{name}_bucket");
        let mut below = 0;
        for (count, bound) in self.counts.iter().zip(self.bounds) {
            below += count.load(Ordering::Relaxed);
            text.sample(&bucket, &labels.and("le", &rounded(*bound)), below);
        }
        below += self.counts[self.bounds.len()].load(Ordering::Relaxed);
        text.sample(&bucket, &labels.and("le", "+Inf"), below);
        let sum = self.sum.load(Ordering::Relaxed) as f64 / 1e9;
        text.sample(&format!("{name}_sum"), labels, sum);
        text.sample(&format!("{name}_count"), labels, below);
    }
}

/// A bound without what multiplication left of errors: 0.004, not 0.0040000000000000001.
fn rounded(bound: f64) -> String {
    let short = format!("{bound:.9e}");
    short
        .parse::<f64>()
        .map_or(short, |exact| exact.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_counts_all_that_are_at_most_its_bound() {
        let histogram = Histogram::new(&[0.1, 1.0]);
        for value in [0.1, 0.2, 1.5, 0.05] {
            histogram.observe(value);
        }
        let mut text = Text::default();
        histogram.write("h", &Labels::new(&[("a", "b")]), &mut text);
        let wanted = "h_bucket{a=\"b\",le=\"0.1\"} 2\nh_bucket{a=\"b\",le=\"1\"} 3\n\
             h_bucket{a=\"b\",le=\"+Inf\"} 4\nh_sum{a=\"b\"} 1.85\nh_count{a=\"b\"} 4\n";
        assert_eq!(text.as_str(), wanted);
    }

    #[test]
    fn computed_bounds_are_written_as_people_write_them() {
        let tens: [f64; 4] = crate::exponential(1e-7, 10.0);
        let text: Vec<String> = tens.iter().map(|b| rounded(*b)).collect();
        assert_eq!(text, ["0.0000001", "0.000001", "0.00001", "0.0001"]);
    }
}

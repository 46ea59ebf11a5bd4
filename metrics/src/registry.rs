//! What is told together at one `/metrics`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::text::Text;

/// The API server's process: store, API, scheduler, controllers.
pub static SERVER: Registry = Registry::new();
/// The kubelet's process: kubelet, Services, DNS.
pub static NODE: Registry = Registry::new();
/// What is true of the process, whatever it runs: told by both.
pub static PROCESS: Registry = Registry::new();

/// What can be read by Prometheus.
pub trait Collect: Sync {
    /// The metric's name, or that of the first of several.
    fn name(&self) -> &'static str;
    fn collect(&self, text: &mut Text);
}

pub struct Registry(Mutex<BTreeMap<&'static str, &'static dyn Collect>>);

impl Registry {
    pub const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// Adds metrics; those that are there already stay as they are, so a part
    /// may be started again.
    pub fn add(&self, metrics: &[&'static dyn Collect]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for metric in metrics {
            known.entry(metric.name()).or_insert(*metric);
        }
    }

    pub fn collect(&self, text: &mut Text) {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for metric in known.values() {
            metric.collect(text);
        }
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Counter, Family};

    static B: Family<Counter> = Family::counter("b_total", "It.", &[]);
    static A: Family<Counter> = Family::counter("a_total", "It.", &[]);

    #[test]
    fn metrics_added_twice_are_told_once_and_in_order() {
        let registry = Registry::new();
        registry.add(&[&B, &A]);
        registry.add(&[&B]);
        A.only().inc();
        B.only().inc();
        let mut text = Text::new();
        registry.collect(&mut text);
        let lines: Vec<&str> = text
            .as_str()
            .lines()
            .filter(|l| !l.starts_with('#'))
            .collect();
        assert_eq!(lines, ["a_total 1", "b_total 1"]);
    }
}

//! A metric: a name, what it means, and a series for each set of labels.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::registry::Collect;
use crate::series::{Counter, Gauge, Histogram, Series};
use crate::text::{Labels, Text};

/// More sets of labels than this are counted together, as `other`.
const SERIES_MAX: usize = 1000;

pub struct Family<S> {
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    bounds: &'static [f64],
    series: RwLock<BTreeMap<Labels, Arc<S>>>,
}

impl Family<Counter> {
    pub const fn counter(
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Self {
        Self::new(name, help, labels, &[])
    }
}

impl Family<Gauge> {
    pub const fn gauge(
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Self {
        Self::new(name, help, labels, &[])
    }
}

impl Family<Histogram> {
    pub const fn histogram(
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
        bounds: &'static [f64],
    ) -> Self {
        Self::new(name, help, labels, bounds)
    }
}

impl<S> Family<S> {
    const fn new(
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
        bounds: &'static [f64],
    ) -> Self {
        Self {
            name,
            help,
            labels,
            bounds,
            series: RwLock::new(BTreeMap::new()),
        }
    }
}

impl<S: Series> Family<S> {
    /// The series of these values, in the order of the family's labels. Worth
    /// keeping where it is asked for often.
    pub fn with(&self, values: &[&str]) -> Arc<S> {
        debug_assert_eq!(values.len(), self.labels.len(), "{}", self.name);
        let labels = self.labels_of(|at| values.get(at).copied().unwrap_or_default());
        if let Some(known) = self.read(&labels) {
            return known;
        }
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        let is_full = series.len() >= SERIES_MAX && !series.contains_key(&labels);
        let labels = if is_full {
            self.labels_of(|_| "other")
        } else {
            labels
        };
        let made = series
            .entry(labels)
            .or_insert_with(|| Arc::new(S::new(self.bounds)));
        made.clone()
    }

    /// The series of a family without labels.
    pub fn only(&self) -> Arc<S> {
        self.with(&[])
    }

    /// Forgets a series: what it was about is gone.
    pub fn forget(&self, values: &[&str]) {
        let labels = self.labels_of(|at| values.get(at).copied().unwrap_or_default());
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        series.remove(&labels);
    }

    fn read(&self, labels: &Labels) -> Option<Arc<S>> {
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        series.get(labels).cloned()
    }

    fn labels_of<'v>(&self, value: impl Fn(usize) -> &'v str) -> Labels {
        let mut labels = Labels::NONE;
        for (at, name) in self.labels.iter().enumerate() {
            labels.push(name, value(at));
        }
        labels
    }
}

impl<S: Series> Collect for Family<S> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn collect(&self, text: &mut Text) {
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        if series.is_empty() {
            return;
        }
        text.head(self.name, S::KIND, self.help);
        for (labels, one) in series.iter() {
            one.write(self.name, labels, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(family: &impl Collect) -> String {
        let mut text = Text::default();
        family.collect(&mut text);
        text.into_string()
    }

    #[test]
    fn one_set_of_labels_is_one_series() {
        let family = Family::counter("c_total", "It.", &["verb"]);
        family.with(&["GET"]).inc();
        family.with(&["GET"]).inc();
        family.with(&["PUT"]).inc();
        let wanted = "# HELP c_total It.\n# TYPE c_total counter\n\
             c_total{verb=\"GET\"} 2\nc_total{verb=\"PUT\"} 1\n";
        assert_eq!(text(&family), wanted);
    }

    #[test]
    fn labels_of_others_making_do_not_grow_without_end() {
        let family = Family::counter("c_total", "It.", &["name"]);
        for n in 0..SERIES_MAX + 50 {
            family.with(&[&n.to_string()]).inc();
        }
        assert!(family.series.read().unwrap().len() <= SERIES_MAX + 1);
        assert!(text(&family).contains("c_total{name=\"other\"} 50\n"));
    }

    #[test]
    fn a_family_nobody_used_is_not_told() {
        assert_eq!(text(&Family::gauge("g", "It.", &[])), "");
    }
}

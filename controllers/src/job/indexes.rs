//! Sets of completion indexes, as a Job's status writes them: `1,3-5,7`.

use std::fmt;

/// Ranges with both ends, in order, with gaps between them. There may be a
/// hundred thousand indexes, and their ends come in almost in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Indexes(Vec<(u32, u32)>);

impl Indexes {
    /// What `text` says, as far as it makes sense and is smaller than `below`.
    pub fn parse(text: &str, below: u32) -> Self {
        let ranges = text.split(',').filter_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (first.parse().ok()?, last.parse::<u32>().ok()?);
            let last = last.min(below.checked_sub(1)?);
            (first <= last).then_some((first, last))
        });
        Self::of(ranges.collect())
    }

    fn of(mut ranges: Vec<(u32, u32)>) -> Self {
        ranges.sort_unstable();
        let mut joined: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match joined.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => {
                    before.1 = before.1.max(last);
                }
                _ => joined.push((first, last)),
            }
        }
        Self(joined)
    }

    pub fn with(&self, more: impl IntoIterator<Item = u32>) -> Self {
        let mut ranges = self.0.clone();
        ranges.extend(more.into_iter().map(|index| (index, index)));
        Self::of(ranges)
    }

    pub fn and(&self, other: &Self) -> Self {
        Self::of([&self.0[..], &other.0[..]].concat())
    }

    pub fn total(&self) -> usize {
        let sizes = self
            .0
            .iter()
            .map(|(first, last)| (last - first) as usize + 1);
        sizes.sum()
    }

    pub fn contains(&self, index: u32) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= index);
        after > 0 && self.0[after - 1].1 >= index
    }

    /// How many are in both.
    pub fn shared(&self, other: &Self) -> usize {
        let overlap = |(a, b): &(u32, u32)| {
            let ranges = other.0.iter();
            let sizes = ranges.map(|(c, d)| {
                let (from, to) = (*a.max(c), *b.min(d));
                (to as usize + 1).saturating_sub(from as usize)
            });
            sizes.sum::<usize>()
        };
        self.0.iter().map(overlap).sum()
    }

    /// The first `count` that are missing, below `below`.
    pub fn missing(&self, count: usize, below: u32) -> Vec<u32> {
        let mut missing = Vec::new();
        let mut next = 0;
        let ends = self.0.iter().copied().chain([(below, below)]);
        for (first, last) in ends {
            let room = count - missing.len();
            missing.extend((next..first.min(below)).take(room));
            next = last.saturating_add(1);
        }
        missing
    }
}

impl fmt::Display for Indexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (first, last)) in self.0.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                1 => write!(f, "{comma}{first},{last}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_join_and_two_are_written_apart() {
        let some = Indexes::default().with([7, 1, 3, 5, 4]);
        assert_eq!(some.to_string(), "1,3-5,7");
        assert_eq!(some.with([6]).to_string(), "1,3-7");
        assert_eq!(Indexes::default().with([0, 1]).to_string(), "0,1");
        assert_eq!(Indexes::parse("1,3-5,7", 100), some);
    }

    #[test]
    fn what_is_read_ends_where_the_job_does() {
        assert_eq!(Indexes::parse("1,3-9", 6).to_string(), "1,3-5");
        assert_eq!(Indexes::parse("x,5-3,-", 9), Indexes::default());
        assert_eq!(Indexes::parse("0-5", 0).total(), 0);
    }

    #[test]
    fn missing_are_the_first_ones_not_there() {
        let some = Indexes::parse("0,2,3,6", 8);
        assert_eq!(some.missing(3, 8), [1, 4, 5]);
        assert_eq!(some.missing(9, 8), [1, 4, 5, 7]);
        assert_eq!(some.missing(9, 2), [1]);
        assert_eq!(Indexes::default().missing(2, 9), [0, 1]);
    }

    #[test]
    fn shared_counts_what_both_have() {
        let some = Indexes::parse("0-9", 20);
        assert_eq!(some.shared(&Indexes::parse("3,5,8-12", 20)), 4);
        assert!(some.contains(9) && !some.contains(10));
        assert_eq!(
            (some.total(), some.and(&Indexes::parse("12", 20)).total()),
            (10, 11)
        );
    }
}

//! Which images go, and in which order. Pure.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::ImageGc;
use crate::node::machine::Room;

/// An image that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub id: String,
    /// By a container, running or not.
    pub is_used: bool,
    pub is_pinned: bool,
}

/// What is remembered of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub first: Instant,
    pub used: Option<Instant>,
}

impl Seen {
    pub fn new(now: Instant) -> Self {
        Self {
            first: now,
            used: None,
        }
    }
}

/// How many bytes to free, if the disk is too full.
pub fn to_free(flags: &ImageGc, room: Room) -> Option<u64> {
    let free = room.bytes_free.min(room.bytes);
    let all = u128::from(room.bytes.max(1));
    let used_percent = 100 - u128::from(free) * 100 / all;
    if flags.high_threshold >= 100 || used_percent < u128::from(flags.high_threshold) {
        return None;
    }
    let goal = all * u128::from(100 - flags.low_threshold.min(100)) / 100;
    let missing = goal.saturating_sub(u128::from(free));
    u64::try_from(missing).ok().filter(|bytes| *bytes > 0)
}

/// The images that may go: those never used first, then by their last use.
pub fn removable(
    flags: &ImageGc,
    found: &[Found],
    seen: &HashMap<String, Seen>,
    now: Instant,
) -> Vec<String> {
    let mut free: Vec<(Seen, &String)> = unused(found, seen)
        .filter(|(seen, _)| age(seen.first, now) >= flags.minimum_age)
        // Used since the look, by a container that is being started.
        .filter(|(seen, _)| seen.used.is_none_or(|used| used < now))
        .collect();
    free.sort_by_key(|(seen, _)| (seen.used, seen.first));
    free.into_iter().map(|(_, id)| id.clone()).collect()
}

/// The images that were not used for too long. What was before the agent began is not known, so
/// it must have run for as long itself.
pub fn too_old(
    flags: &ImageGc,
    found: &[Found],
    seen: &HashMap<String, Seen>,
    begun: Instant,
    now: Instant,
) -> Vec<String> {
    let most = flags.maximum_age;
    if most.is_zero() || age(begun, now) <= most {
        return Vec::new();
    }
    let is_old = |seen: &Seen| age(seen.used.unwrap_or(seen.first), now) > most;
    unused(found, seen)
        .filter(|(seen, _)| is_old(seen))
        .map(|(_, id)| id.clone())
        .collect()
}

fn unused<'a>(
    found: &'a [Found],
    seen: &'a HashMap<String, Seen>,
) -> impl Iterator<Item = (Seen, &'a String)> {
    let free = found.iter().filter(|f| !f.is_used && !f.is_pinned);
    free.filter_map(|image| Some((*seen.get(&image.id)?, &image.id)))
}

fn age(since: Instant, now: Instant) -> Duration {
    now.saturating_duration_since(since)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: ImageGc = ImageGc {
        high_threshold: 85,
        low_threshold: 80,
        minimum_age: Duration::from_secs(120),
        maximum_age: Duration::ZERO,
    };

    #[test]
    fn so_much_goes_as_brings_the_disk_to_the_low_threshold() {
        let wanted = |free, flags: ImageGc| {
            let room = Room {
                bytes: 1000,
                bytes_free: free,
                ..Room::default()
            };
            to_free(&flags, room)
        };
        let never = ImageGc {
            high_threshold: 100,
            ..FLAGS
        };
        let cases = [
            (500, FLAGS, None),
            (160, FLAGS, None),
            (150, FLAGS, Some(50)),
            (0, FLAGS, Some(200)),
            (0, never, None),
        ];
        for (free, flags, expected) in cases {
            assert_eq!(wanted(free, flags), expected, "{free} free");
        }
        assert_eq!(to_free(&FLAGS, Room::default()), None);
    }

    /// Images with their ages in seconds: first seen, last used.
    fn shelf(
        now: Instant,
        rows: &[(&str, u64, Option<u64>)],
    ) -> (Vec<Found>, HashMap<String, Seen>) {
        let ago = |seconds| now - Duration::from_secs(seconds);
        let found = |(id, ..): &(&str, u64, Option<u64>)| Found {
            id: (*id).to_owned(),
            is_used: id.starts_with("used"),
            is_pinned: id.starts_with("pinned"),
        };
        let seen = |(id, first, used): &(&str, u64, Option<u64>)| {
            let seen = Seen {
                first: ago(*first),
                used: used.map(ago),
            };
            ((*id).to_owned(), seen)
        };
        (
            rows.iter().map(found).collect(),
            rows.iter().map(seen).collect(),
        )
    }

    #[test]
    fn the_least_recently_used_goes_first_and_some_stay() {
        let now = Instant::now() + Duration::from_secs(100_000);
        let rows = [
            ("lately", 9000, Some(60)),
            ("long ago", 9000, Some(5000)),
            ("never", 500, None),
            ("never and older", 600, None),
            ("new", 119, None),
            ("just taken", 9000, Some(0)),
            ("used", 9000, Some(60)),
            ("pinned", 9000, None),
        ];
        let (found, seen) = shelf(now, &rows);
        let order = removable(&FLAGS, &found, &seen, now);
        assert_eq!(order, ["never and older", "never", "long ago", "lately"]);
    }

    #[test]
    fn images_that_were_not_used_for_too_long_go_whatever_the_disk_says() {
        let now = Instant::now() + Duration::from_secs(100_000);
        let rows = [
            ("fresh", 9000, Some(3600)),
            ("old", 9000, Some(3601)),
            ("never used", 3601, None),
            ("used", 9000, Some(3700)),
            ("pinned", 9000, None),
        ];
        let (found, seen) = shelf(now, &rows);
        let flags = ImageGc {
            maximum_age: Duration::from_secs(3600),
            ..FLAGS
        };
        let ago = |seconds| now - Duration::from_secs(seconds);
        let old = |flags, begun| too_old(flags, &found, &seen, begun, now);
        assert_eq!(old(&flags, ago(9000)), ["old", "never used"]);
        assert!(old(&flags, ago(3600)).is_empty(), "it has just begun");
        assert!(old(&FLAGS, ago(9000)).is_empty());
    }
}

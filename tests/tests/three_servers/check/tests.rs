//! Each kind of lie is found.

use super::*;

const START: u64 = 10;

fn event(at: u64, key: &str, op: u64, number: u64) -> Event {
    Event {
        at,
        key: key.into(),
        is_delete: false,
        op,
        number,
    }
}

fn delete(at: u64, key: &str) -> Event {
    Event {
        is_delete: true,
        ..event(at, key, 0, 0)
    }
}

fn write(floor: u64, key: &str, op: u64, what: What, outcome: Outcome) -> Write {
    Write {
        floor,
        key: key.into(),
        op,
        what,
        outcome,
    }
}

fn watched(events: &[Event]) -> Vec<Watched> {
    vec![Watched {
        from: START,
        to: events.last().map_or(START, |event| event.at),
        events: events.to_vec(),
    }]
}

fn start() -> List {
    List {
        floor: 0,
        at: START,
        items: vec![("old".into(), 5)],
    }
}

/// A history that can be: `old` is there; `a` is created, changed, deleted and
/// created; a counter is counted.
fn well() -> Kept {
    let events = [
        event(11, "a", 1, 0),
        event(12, "count-0", 2, 0),
        event(14, "a", 3, 0),
        event(15, "count-0", 4, 1),
        delete(16, "a"),
        event(18, "a", 6, 0),
    ];
    let done = |at| Outcome::Done(Some(at));
    Kept {
        writes: vec![
            write(10, "a", 1, What::Create, done(11)),
            write(11, "count-0", 2, What::Create, done(12)),
            write(12, "a", 3, What::Update(11), Outcome::InDoubt),
            write(14, "count-0", 4, What::Update(12), done(15)),
            write(15, "a", 5, What::Delete(14), Outcome::Done(None)),
            write(16, "a", 6, What::Create, done(18)),
            write(18, "a", 7, What::Update(14), Outcome::Refused(409)),
        ],
        reads: vec![
            read(10, "a", None),
            read(11, "a", Some(14)),
            read(14, "a", None),
            read(14, "a", Some(18)),
            read(18, "old", Some(5)),
            read(18, "never", None),
        ],
        lists: vec![
            list(12, 13, &[("a", 11), ("count-0", 12), ("old", 5)]),
            list(16, 17, &[("count-0", 15), ("old", 5)]),
        ],
        watched: vec![watched(&events), watched(&events[..4])],
        flaws: Vec::new(),
    }
}

fn read(floor: u64, key: &str, found: Option<u64>) -> Read {
    Read {
        floor,
        key: key.into(),
        found,
    }
}

fn list(floor: u64, at: u64, items: &[(&str, u64)]) -> List {
    let items = items.iter().map(|(key, at)| ((*key).to_owned(), *at));
    List {
        floor,
        at,
        items: items.collect(),
    }
}

#[track_caller]
fn is_found(change: impl FnOnce(&mut Kept), words: &str) {
    let mut kept = well();
    change(&mut kept);
    let flaws = flaws(&start(), &kept);
    assert!(flaws.iter().any(|flaw| flaw.contains(words)), "{flaws:?}");
}

#[test]
fn history_that_can_be_is_believed() {
    assert_eq!(flaws(&start(), &well()), Vec::<String>::new());
}

#[test]
fn lost_write_is_found() {
    let done = Outcome::Done(Some(17));
    let lost = write(16, "b", 9, What::Create, done);
    is_found(|kept| kept.writes.push(lost), "lost:");
    let lost = write(16, "old", 9, What::Delete(5), Outcome::Done(None));
    is_found(|kept| kept.writes.push(lost), "lost:");
    let other = Outcome::Done(Some(13));
    is_found(|kept| kept.writes[0].outcome = other, "lost:");
}

#[test]
fn write_that_was_refused_made_twice_or_by_nobody_is_found() {
    is_found(
        |kept| kept.writes[0].outcome = Outcome::Refused(503),
        "was made",
    );
    is_found(|kept| drop(kept.writes.remove(2)), "nobody wrote");
    let twice = event(19, "b", 6, 0);
    is_found(
        |kept| kept.watched[0][0].events.push(twice),
        "more than once",
    );
}

#[test]
fn write_on_top_of_another_version_is_found() {
    is_found(|kept| kept.writes[3].what = What::Update(11), "on top of");
    is_found(|kept| kept.writes[3].what = What::Create, "on top of");
    is_found(|kept| kept.writes[5].floor = 18, "already");
}

#[test]
fn lost_increment_is_found() {
    is_found(|kept| kept.watched[0][0].events[3].number = 0, "number 1");
}

#[test]
fn stale_read_is_found() {
    is_found(|kept| kept.reads.push(read(14, "a", Some(11))), "stale");
    is_found(|kept| kept.reads.push(read(18, "a", None)), "stale");
    is_found(|kept| kept.reads.push(read(16, "a", Some(14))), "stale");
    is_found(|kept| kept.reads.push(read(10, "a", Some(13))), "stale");
    is_found(|kept| kept.reads.push(read(10, "old", None)), "stale");
}

#[test]
fn list_that_is_old_or_of_no_revision_is_found() {
    let full = [("a", 14), ("count-0", 12), ("old", 5)];
    is_found(|kept| kept.lists.push(list(15, 14, &full)), "was known");
    is_found(|kept| kept.lists.push(list(14, 15, &full)), "lacks");
    is_found(|kept| kept.lists.push(list(14, 14, &full[1..])), "lacks");
    let twice = [full[0], full[0], full[1], full[2]];
    is_found(|kept| kept.lists.push(list(14, 14, &twice)), "has");
}

#[test]
fn watch_with_a_gap_a_double_or_out_of_order_is_found() {
    is_found(
        |kept| drop(kept.watched[1][0].events.remove(1)),
        "is not told",
    );
    is_found(|kept| kept.watched[1][0].events.swap(1, 2), "and then");
    is_found(
        |kept| {
            let again = kept.watched[1][0].events[1].clone();
            kept.watched[1][0].events.insert(1, again);
        },
        "and then",
    );
    is_found(|kept| kept.watched[1][0].from = 11, "again");
    // Progress that came before a change.
    is_found(|kept| kept.watched[1][0].to = 16, "is not told");
    is_found(
        |kept| kept.watched[1][0].events[0].op = 9,
        "of one revision",
    );
}

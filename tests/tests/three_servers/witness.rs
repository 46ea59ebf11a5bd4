//! What a watcher of the load is told, as it goes into the record.

use std::sync::Arc;

use serde_json::Value;

use crate::follow::{Follower, Told, revision};
use crate::load::NOT_OURS;
use crate::record::{Event, Found, List, Record, Watched};

/// The last key that is written; who is told of it has seen all.
pub const END: &str = "end";

/// Notes all that it is told, until the end.
pub async fn watch(follower: Follower, at: usize, from: u64, record: Arc<Record>) {
    begin(&record, at, from);
    let take = |told| {
        let (told_at, event) = match told {
            Told::Progress(at) => (at, None),
            Told::Put { at, object } => (at, event(&object, false)),
            Told::Deleted { at, object } => (at, event(&object, true)),
            Told::Anew { at: anew, items } => {
                println!("watcher {at} begins anew at {anew}");
                begin(&record, at, anew);
                let items = items.iter().filter_map(found).collect();
                let list = List {
                    floor: 0,
                    at: anew,
                    items,
                };
                record.kept().lists.push(list);
                (anew, None)
            }
        };
        record.learn(told_at);
        note(&record, at, told_at, event)
    };
    follower.follow(take).await;
}

fn begin(record: &Record, at: usize, from: u64) {
    let watched = &mut record.kept().watched;
    watched.resize(watched.len().max(at + 1), Vec::new());
    watched[at].push(Watched {
        from,
        to: from,
        events: Vec::new(),
    });
}

/// Whether this was the end.
fn note(record: &Record, watcher: usize, at: u64, event: Option<Event>) -> bool {
    let mut kept = record.kept();
    let watched = kept.watched[watcher].last_mut();
    let watched = watched.expect("it has begun");
    let before = watched.to;
    let Some(event) = event else {
        watched.to = before.max(at);
        return false;
    };
    let is_end = event.key == END;
    let flaw =
        (at <= before).then(|| format!("watcher {watcher} is told {event:?} after {before}"));
    watched.to = before.max(at);
    watched.events.push(event);
    kept.flaws.extend(flaw);
    is_end
}

fn event(object: &Value, is_delete: bool) -> Option<Event> {
    let number = |name: &str| {
        let text = object["data"][name].as_str();
        text.and_then(|text| text.parse().ok()).unwrap_or(0)
    };
    let (key, at) = found(object)?;
    Some(Event {
        at,
        key,
        is_delete,
        op: if is_delete { 0 } else { number("op") },
        number: number("number"),
    })
}

fn found(object: &Value) -> Option<Found> {
    let name = object["metadata"]["name"].as_str().expect("it has a name");
    (name != NOT_OURS).then(|| (name.to_owned(), revision(object)))
}

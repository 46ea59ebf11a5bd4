use std::sync::Arc;

use super::*;
use crate::{Level, Source, Told};

fn occurrence(message: &str, seconds: i64) -> Occurrence {
    Occurrence {
        told: Told {
            about: ObjectReference {
                name: Some("web".into()),
                uid: Some("u".into()),
                ..ObjectReference::default()
            },
            level: Level::Normal,
            reason: "R".into(),
            action: None,
            message: message.into(),
        },
        source: Arc::new(Source {
            component: "c".into(),
            host: None,
        }),
        at: Timestamp::from_second(seconds).unwrap(),
    }
}

#[test]
fn what_was_told_before_is_counted() {
    let mut correlation = Correlation::new();
    let first = correlation.place(&occurrence("m", 0)).unwrap();
    assert!(first.name.starts_with("web."));
    let again = correlation.place(&occurrence("m", 1)).unwrap();
    assert_eq!((again.name, again.count), (first.name, 2));
}

#[test]
fn the_same_words_about_another_field_are_another_event() {
    let mut correlation = Correlation::new();
    let first = correlation.place(&occurrence("m", 0)).unwrap();
    let mut other = occurrence("m", 1);
    other.told.about.field_path = Some("spec.containers{c}".into());
    let other = correlation.place(&other).unwrap();
    assert_ne!(other.name, first.name);
    assert_eq!(other.count, 1);
}

#[test]
fn eleventh_message_of_a_reason_is_combined_with_those_after_it() {
    let mut correlation = Correlation::new();
    for number in 0..10 {
        correlation.place(&occurrence(&number.to_string(), 0));
    }
    let combined = correlation.place(&occurrence("x", 0)).unwrap();
    assert_eq!(combined.message, "(combined from similar events): x");
    assert_eq!(combined.count, 1);
    let next = correlation.place(&occurrence("y", 0)).unwrap();
    assert_eq!(next.message, "(combined from similar events): y");
    assert_eq!((next.name, next.count), (combined.name, 2));
}

#[test]
fn flood_about_one_object_is_dropped_until_time_has_passed() {
    let mut correlation = Correlation::new();
    let placed = (0..100).filter(|_| correlation.place(&occurrence("m", 0)).is_some());
    assert_eq!(placed.count(), 25);
    assert!(correlation.place(&occurrence("m", 301)).is_some());
    assert!(correlation.place(&occurrence("m", 302)).is_none());
}

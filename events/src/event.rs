//! From what was told to the API's `Event`.

use apimachinery::random;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time};
use serde_json::{Value, json};

use crate::Occurrence;
use crate::correlate::Placed;

/// As much of a message as the API allows.
const LONGEST_MESSAGE: usize = 1024;
const LONGEST_NAME: usize = 253;

/// The name of a new event: its object's and the time.
pub fn name(occurrence: &Occurrence) -> String {
    let about = occurrence.told.about.name.as_deref().unwrap_or_default();
    let name = format!("{about}.{:x}", occurrence.at.as_nanosecond());
    if name.len() > LONGEST_NAME {
        return random::uid();
    }
    name
}

pub fn namespace(occurrence: &Occurrence) -> &str {
    let namespace = occurrence.told.about.namespace.as_deref();
    namespace.filter(|n| !n.is_empty()).unwrap_or("default")
}

/// The event as it is created.
pub fn new(occurrence: &Occurrence, placed: &Placed) -> Event {
    let (told, source) = (&occurrence.told, &*occurrence.source);
    let event = Event {
        metadata: ObjectMeta {
            name: Some(placed.name.clone()),
            namespace: Some(namespace(occurrence).to_owned()),
            ..ObjectMeta::default()
        },
        involved_object: told.about.clone(),
        type_: Some(format!("{:?}", told.level)),
        reason: Some(told.reason.clone().into_owned()),
        message: Some(shortened(&placed.message)),
        reporting_component: Some(source.component.clone()),
        ..Event::default()
    };
    match told.action {
        Some(action) => Event {
            action: Some(action.to_owned()),
            event_time: Some(MicroTime(occurrence.at)),
            reporting_instance: source.host.clone().or(Some(source.component.clone())),
            ..event
        },
        None => Event {
            source: Some(EventSource {
                component: Some(source.component.clone()),
                host: source.host.clone(),
            }),
            reporting_instance: source.host.clone(),
            count: Some(placed.count),
            first_timestamp: Some(seconds(occurrence.at)),
            last_timestamp: Some(seconds(occurrence.at)),
            ..event
        },
    }
}

/// The merge patch that counts one more.
pub fn again(occurrence: &Occurrence, placed: &Placed) -> Value {
    let (count, at) = (placed.count, occurrence.at);
    if occurrence.told.action.is_some() {
        return json!({ "series": { "count": count, "lastObservedTime": MicroTime(at) } });
    }
    json!({ "count": count, "message": shortened(&placed.message), "lastTimestamp": seconds(at) })
}

fn shortened(message: &str) -> String {
    message[..message.floor_char_boundary(LONGEST_MESSAGE)].to_owned()
}

/// Times in the API are whole seconds.
fn seconds(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_at_a_character() {
        assert_eq!(shortened(&"ä".repeat(600)).len(), 1024);
        assert_eq!(shortened(&format!("a{}", "ä".repeat(600))).len(), 1023);
    }
}

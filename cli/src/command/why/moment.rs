//! A moment in an object's life, as exactly as the API tells it.

use jiff::Timestamp;
use serde_json::Value;

use crate::cluster::text;

/// How much of a moment's time is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// To the millisecond or better.
    Exactly,
    /// Only its second: most times in the API are whole ones. It came before what
    /// is known exactly of that second.
    SecondEarly,
    /// Only its second; it came right after this.
    SecondAfter(Timestamp),
    /// Only its second; it came after what is known exactly of it.
    SecondLate,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    pub at: Timestamp,
    pub known: Known,
    pub what: String,
    pub detail: String,
}

impl Moment {
    /// A moment of which the API has the second; `None` if it has none.
    pub fn at_second(
        time: &str,
        known: Known,
        what: impl Into<String>,
        detail: impl Into<String>,
    ) -> Option<Self> {
        Some(Self {
            at: time.parse().ok()?,
            known,
            what: what.into(),
            detail: detail.into(),
        })
    }

    pub fn order(&self) -> (i64, u8, i32) {
        let (second, nanos) = (self.at.as_second(), self.at.subsec_nanosecond());
        match self.known {
            Known::SecondEarly => (second, 0, 0),
            Known::Exactly => (second, 1, nanos),
            Known::SecondAfter(other) if other.as_second() == second => {
                (second, 1, other.subsec_nanosecond() + 1)
            }
            Known::SecondAfter(_) => (second, 0, 0),
            Known::SecondLate => (second, 2, 0),
        }
    }

    /// `15:04:05.123`, or `15:04:05` where no more is known.
    pub fn time(&self) -> String {
        match self.known {
            Known::Exactly => self.at.strftime("%H:%M:%S%.3f").to_string(),
            _ => self.at.strftime("%H:%M:%S").to_string(),
        }
    }

    /// How long after `first`; only seconds where no more is known.
    pub fn after(&self, first: Timestamp) -> String {
        let after = self.at.duration_since(first).as_millis().max(0);
        match self.known {
            Known::Exactly => format!("{}.{:03} s", after / 1000, after % 1000),
            _ => format!("{} s", after / 1000),
        }
    }
}

/// When an event was told first. Its name ends with that time in nanoseconds, as
/// all recorders of Kubernetes have it; its fields have the second alone.
pub fn of_event(event: &Value) -> Option<(Timestamp, Known)> {
    let exact = text(event, "/eventTime").parse::<Timestamp>().ok();
    if let Some(at) = exact {
        return Some((at, Known::Exactly));
    }
    let first = match text(event, "/firstTimestamp") {
        "" => text(event, "/metadata/creationTimestamp"),
        first => first,
    };
    let second: Timestamp = first.parse().ok()?;
    let name = text(event, "/metadata/name");
    let nanos = name
        .rsplit_once('.')
        .map(|(_, end)| i128::from_str_radix(end, 16));
    if let Some(Ok(nanos)) = nanos
        && let Ok(at) = Timestamp::from_nanosecond(nanos)
        && at.as_second() == second.as_second()
    {
        return Some((at, Known::Exactly));
    }
    Some((second, Known::SecondLate))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_events_name_tells_its_time_to_the_nanosecond() {
        let at: Timestamp = "2026-01-02T03:04:05.678901234Z".parse().unwrap();
        let name = format!("web.{:x}", at.as_nanosecond());
        let event =
            json!({ "metadata": { "name": name }, "firstTimestamp": "2026-01-02T03:04:05Z" });
        assert_eq!(of_event(&event), Some((at, Known::Exactly)));
    }

    #[test]
    fn a_name_that_tells_another_time_is_not_believed() {
        let event =
            json!({ "metadata": { "name": "web.17ab" }, "firstTimestamp": "2026-01-02T03:04:05Z" });
        let (at, known) = of_event(&event).unwrap();
        assert_eq!(
            (at.to_string().as_str(), known),
            ("2026-01-02T03:04:05Z", Known::SecondLate)
        );
    }

    #[test]
    fn what_is_known_to_the_second_only_is_shown_so_and_takes_its_place() {
        let at = |time: &str, known| Moment {
            known,
            ..Moment::at_second(time, known, "", "").unwrap()
        };
        let created = at("2026-01-02T03:04:05Z", Known::SecondEarly);
        let pulled = at("2026-01-02T03:04:05.250Z", Known::Exactly);
        let ready = at("2026-01-02T03:04:05Z", Known::SecondLate);
        assert!(created.order() < pulled.order() && pulled.order() < ready.order());
        assert_eq!(
            (pulled.time().as_str(), ready.time().as_str()),
            ("03:04:05.250", "03:04:05")
        );
        assert_eq!(pulled.after(created.at), "0.250 s");
    }
}

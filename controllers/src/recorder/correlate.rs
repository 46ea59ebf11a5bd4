//! Which event a new thing told belongs to: its own, one that says the same
//! already, one for many that are alike, or none.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::Told;

/// What is remembered, of each sort; beyond that, all is forgotten.
const REMEMBERED: usize = 4096;
/// Different messages of one reason about one object; the next are combined.
const SIMILAR: usize = 10;
const SIMILAR_FOR: SignedDuration = SignedDuration::from_mins(10);
/// Events about one object at once, and how long until there may be one more.
const BURST: f64 = 25.0;
const REFILL_SECONDS: f64 = 300.0;
const COMBINED: &str = "(combined from similar events): ";

#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    New {
        name: String,
        message: String,
    },
    Again {
        name: String,
        message: String,
        count: i32,
    },
    Drop,
}

#[derive(Default)]
pub struct Correlation {
    /// The event that says just this, and how often it did.
    known: HashMap<String, (String, i32)>,
    /// The messages there were of one reason about one object.
    similar: HashMap<String, (Timestamp, Vec<String>)>,
    /// How many more events about one object there may be.
    budgets: HashMap<String, (Timestamp, f64)>,
}

impl Correlation {
    pub fn place(&mut self, told: &Told) -> Outcome {
        self.forget();
        let about = &told.about;
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let object = format!(
            "{}/{}/{}",
            told.controller,
            text(&about.kind),
            text(&about.uid)
        );
        if !self.spend(&object, told.at) {
            return Outcome::Drop;
        }
        let sort = format!("{object}/{}/{}", told.type_, told.reason);
        let is_combined = self.is_one_of_many(&sort, told);
        let (key, message) = if is_combined {
            (sort, format!("{COMBINED}{}", told.message))
        } else {
            (format!("{sort}/{}", told.message), told.message.clone())
        };
        if let Some((name, count)) = self.known.get_mut(&key) {
            *count += 1;
            return Outcome::Again {
                name: name.clone(),
                message,
                count: *count,
            };
        }
        let name = format!("{}.{:016x}", text(&about.name), rand::random::<u64>());
        self.known.insert(key, (name.clone(), 1));
        Outcome::New { name, message }
    }

    fn spend(&mut self, object: &str, now: Timestamp) -> bool {
        let entry = self.budgets.entry(object.to_owned());
        let (since, left) = entry.or_insert((now, BURST));
        let earned = now.duration_since(*since).as_secs_f64() / REFILL_SECONDS;
        *left = (*left + earned.max(0.0)).min(BURST);
        *since = now;
        let may = *left >= 1.0;
        if may {
            *left -= 1.0;
        }
        may
    }

    fn is_one_of_many(&mut self, sort: &str, told: &Told) -> bool {
        let entry = self.similar.entry(sort.to_owned());
        let (last, messages) = entry.or_insert((told.at, Vec::new()));
        if told.at.duration_since(*last) > SIMILAR_FOR {
            messages.clear();
        }
        *last = told.at;
        if messages.contains(&told.message) {
            return false;
        }
        if messages.len() >= SIMILAR {
            return true;
        }
        messages.push(told.message.clone());
        false
    }

    fn forget(&mut self) {
        if self.known.len() > REMEMBERED {
            self.known.clear();
        }
        if self.similar.len() > REMEMBERED {
            self.similar.clear();
        }
        if self.budgets.len() > REMEMBERED {
            self.budgets.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ObjectReference;

    fn told(message: &str, seconds: i64) -> Told {
        Told {
            controller: "c",
            about: ObjectReference {
                name: Some("web".into()),
                uid: Some("u".into()),
                ..ObjectReference::default()
            },
            type_: "Normal",
            reason: "R".into(),
            message: message.into(),
            at: Timestamp::from_second(seconds).unwrap(),
        }
    }

    #[test]
    fn what_was_told_before_is_counted() {
        let mut correlation = Correlation::default();
        let Outcome::New { name, .. } = correlation.place(&told("m", 0)) else {
            panic!("the first is new");
        };
        assert!(name.starts_with("web."));
        let again = Outcome::Again {
            name,
            message: "m".into(),
            count: 2,
        };
        assert_eq!(correlation.place(&told("m", 1)), again);
    }

    #[test]
    fn eleventh_message_of_a_reason_is_combined_with_those_after_it() {
        let mut correlation = Correlation::default();
        for number in 0..10 {
            correlation.place(&told(&number.to_string(), 0));
        }
        let Outcome::New { message, .. } = correlation.place(&told("x", 0)) else {
            panic!("the combined event is new");
        };
        assert_eq!(message, "(combined from similar events): x");
        let Outcome::Again { message, count, .. } = correlation.place(&told("y", 0)) else {
            panic!("and then counted");
        };
        assert_eq!(
            (message.as_str(), count),
            ("(combined from similar events): y", 2)
        );
    }

    #[test]
    fn flood_about_one_object_is_dropped_until_time_has_passed() {
        let mut correlation = Correlation::default();
        let placed = (0..100).filter(|_| correlation.place(&told("m", 0)) != Outcome::Drop);
        assert_eq!(placed.count(), 25);
        assert_ne!(correlation.place(&told("m", 301)), Outcome::Drop);
        assert_eq!(correlation.place(&told("m", 302)), Outcome::Drop);
    }
}

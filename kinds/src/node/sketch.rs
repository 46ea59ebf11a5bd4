//! Which fields an object may have, in one word.

use apimachinery::meta;
use serde_json::Value;

/// A set of names, each hashed to one of 64 bits: what it lacks is absent for certain, what
/// it has may be there. Asking for a name known when this is compiled costs one instruction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sketch(u64);

/// More fields than this fill most of the bits, and cost more to look at than they spare.
const FIELDS_MAX: usize = 32;

impl Sketch {
    pub const EMPTY: Sketch = Sketch(0);
    const ALL: Sketch = Sketch(u64::MAX);

    /// The names of the fields of `value`, none if it is no object.
    pub fn of(value: &Value) -> Sketch {
        match value {
            Value::Object(fields) if fields.len() > FIELDS_MAX => Sketch::ALL,
            Value::Object(fields) => {
                let bits = fields.keys().map(|name| bit(name));
                Sketch(bits.fold(0, |all, bit| all | bit))
            }
            _ => Sketch::EMPTY,
        }
    }

    /// True if the object has no such field; of a dotted path the first part counts.
    #[inline(always)]
    pub fn lacks(self, path: &str) -> bool {
        self.lacks_field(meta::first_part(path))
    }

    /// As `lacks`, for a name without dots.
    #[inline(always)]
    pub fn lacks_field(self, name: &str) -> bool {
        self.0 & bit(name) == 0
    }
}

#[inline(always)]
fn bit(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else {
        return 1;
    };
    1 << ((bytes.len() * 5 + usize::from(first) * 3 + usize::from(last)) % 64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_there_is_never_lacking() {
        let all: Vec<String> = (0..200).map(|n| format!("field{n}")).collect();
        for count in [0, 1, 2, 5, 31, 32, 33, 200] {
            let mut object = json!({});
            for name in &all[..count] {
                object[name] = 1.into();
            }
            let sketch = Sketch::of(&object);
            for name in &all[..count] {
                assert!(!sketch.lacks(name), "{name} of {count}");
                assert!(!sketch.lacks(&format!("{name}.below")), "{name} of {count}");
            }
        }
    }

    #[test]
    fn most_of_what_is_absent_is_known_to_be() {
        let spec = json!({"containers": [], "dnsPolicy": "", "restartPolicy": "", "volumes": []});
        let absent = [
            "hostNetwork",
            "initContainers",
            "affinity",
            "overhead",
            "nodeName",
        ];
        assert!(absent.iter().all(|field| Sketch::of(&spec).lacks(field)));
    }

    #[test]
    fn what_is_no_object_lacks_everything() {
        assert!(Sketch::of(&json!([1])).lacks("a") && Sketch::of(&json!("a")).lacks(""));
    }

    #[test]
    fn a_field_without_a_name_is_found() {
        assert!(!Sketch::of(&json!({"": 1})).lacks(""));
        assert!(!Sketch::of(&json!({"": {"a": 1}})).lacks(".a"));
    }
}

//! What holds for every object of every shape: checked on objects made at random
//! from the schemas themselves. The seed is fixed, so a failure is the same twice.

use patch::{FieldSet, Writer};
use schema::{ListKind, Node};
use serde_json::{Map, Value, json};

const ROUNDS: u64 = 300;

const KINDS: &[(&str, &str, &str)] = &[
    ("", "v1", "Pod"),
    ("", "v1", "Service"),
    ("", "v1", "ConfigMap"),
    ("", "v1", "Node"),
    ("apps", "v1", "Deployment"),
    ("networking.k8s.io", "v1", "NetworkPolicy"),
    ("resource.k8s.io", "v1", "ResourceClaim"),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole"),
];

/// The server's own fields of an object's metadata, and what is written for it.
const SERVERS: &[&str] = &[
    "creationTimestamp",
    "generation",
    "managedFields",
    "name",
    "namespace",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// xorshift64*: enough for shapes.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }

    fn word(&mut self) -> String {
        ["a", "b", "c", "d"][usize::try_from(self.roll(4)).expect("small")].to_owned()
    }

    fn value(&mut self, node: &Node, depth: u32) -> Value {
        match node {
            Node::Object(object) => {
                // Wide structs stay small: about three fields each.
                let sides = (object.fields().len() as u64 / 3).max(2);
                let mut map = Map::new();
                let is_metadata = object.name().ends_with(".ObjectMeta");
                let may_set = |name: &str| !(is_metadata && SERVERS.contains(&name));
                for field in object.fields() {
                    if may_set(&field.name) && depth < 7 && self.roll(sides) == 0 {
                        map.insert(field.name.to_string(), self.value(&field.node, depth + 1));
                    }
                }
                Value::Object(map)
            }
            Node::Map(map) => {
                let entries = 1 + self.roll(2);
                let entry = |_| (self.word(), self.value(&map.values, depth + 1));
                Value::Object((0..entries).map(entry).collect())
            }
            Node::List(list) => self.list(list, depth),
            Node::Integer(_) | Node::Number | Node::IntOrString => self.roll(3).into(),
            Node::Boolean => (self.roll(2) == 0).into(),
            Node::Quantity => format!("{}Mi", 1 + self.roll(3)).into(),
            Node::Time => format!("2026-01-0{}T00:00:00Z", 1 + self.roll(3)).into(),
            Node::MicroTime => "2026-01-01T00:00:00.000000Z".into(),
            Node::Bytes => "AAE=".into(),
            Node::RawObject => json!({self.word(): self.roll(3)}),
            Node::String | Node::Any => self.word().into(),
        }
    }

    fn list(&mut self, list: &schema::List, depth: u32) -> Value {
        let mut items: Vec<Value> = Vec::new();
        for _ in 0..=self.roll(3) {
            let mut item = self.value(&list.items, depth + 1);
            if let (ListKind::Map(keys), Value::Object(item)) = (&list.kind, &mut item) {
                for key in keys {
                    let node = list.items.child(&key.name).expect("a key is a field");
                    item.insert(key.name.to_string(), self.value(node, depth + 1));
                }
            }
            // A strategic merge finds items by one key alone.
            let keys: Vec<&str> = match (&list.merge_key, &list.kind) {
                (Some(key), _) => vec![key],
                (None, ListKind::Map(keys)) => keys.iter().map(|k| &*k.name).collect(),
                _ => Vec::new(),
            };
            if keys.iter().any(|key| item.get(*key).is_none()) {
                continue;
            }
            let same = |other: &Value| match &keys[..] {
                [] => *other == item,
                keys => keys.iter().all(|key| other.get(*key) == item.get(*key)),
            };
            if !items.iter().any(same) {
                items.push(item);
            }
        }
        Value::Array(items)
    }
}

/// Runs `check` on random objects of many kinds.
fn for_random(mut check: impl FnMut(&mut Dice, &Node, &dyn Fn(&mut Dice) -> Value)) {
    for round in 0..ROUNDS {
        let (group, version, kind) = KINDS[usize::try_from(round).expect("small") % KINDS.len()];
        let node = schema::of(group, version, kind).expect("built in");
        let make = |dice: &mut Dice| {
            let mut object = dice.value(node, 0);
            object["apiVersion"] = "v1".into();
            object["kind"] = kind.into();
            object["metadata"]["name"] = "x".into();
            object
        };
        check(&mut Dice(0x9e37_79b9 + round * 7919), node, &make);
    }
}

fn writer(manager: &str) -> Writer<'_> {
    Writer {
        manager,
        api_version: "v1",
        subresource: "",
        time: "2027-01-01T00:00:00Z",
        reset: &[],
    }
}

fn apply(live: &Value, applied: &Value, manager: &str, node: &Node) -> Value {
    patch::apply(live, applied, &writer(manager), true, node).expect("forced and well typed")
}

fn without_owners(mut object: Value) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    object
}

#[test]
fn decoding_what_fits_finds_nothing_and_decoding_again_changes_nothing() {
    for_random(|dice, node, make| {
        let mut object = make(dice);
        assert_eq!(schema::decode(node, &mut object), []);
        let once = object.clone();
        assert_eq!(schema::decode(node, &mut object), []);
        assert_eq!(object, once);
    });
}

#[test]
fn field_sets_come_back_from_their_encoding() {
    for_random(|dice, node, make| {
        let mut object = make(dice);
        patch::managed::update(None, &mut object, &writer("m"), node);
        for entry in object["metadata"]["managedFields"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let fields = FieldSet::decode(&entry["fieldsV1"]).expect("our own encoding");
            assert_eq!(fields.encode(), entry["fieldsV1"]);
        }
    });
}

/// A creator who sends owners of its own is tracked in the general way.
#[test]
fn a_creator_owns_the_same_whether_others_own_something_too() {
    for_random(|dice, node, make| {
        let (mut alone, other) = (make(dice), json!({"f:other": {}}));
        let mut among = alone.clone();
        among["metadata"]["managedFields"] = json!([{"manager": "other", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": other}]);
        patch::managed::update(None, &mut alone, &writer("m"), node);
        patch::managed::update(None, &mut among, &writer("m"), node);
        let fields = |object: &Value| {
            let entries = object["metadata"]["managedFields"].as_array().cloned();
            let mut entries = entries.into_iter().flatten();
            entries.find(|e| e["manager"] == "m")
        };
        assert_eq!(fields(&alone), fields(&among), "{alone:#}");
    });
}

#[test]
fn applying_twice_is_applying_once() {
    for_random(|dice, node, make| {
        let (live, applied) = (make(dice), make(dice));
        let once = apply(&live, &applied, "m", node);
        assert_eq!(
            apply(&once, &applied, "m", node),
            once,
            "{applied:#} to {live:#}"
        );
    });
}

#[test]
fn what_is_applied_to_nothing_is_all_there_is() {
    for_random(|dice, node, make| {
        let applied = make(dice);
        let result = apply(&Value::Null, &applied, "m", node);
        assert_eq!(without_owners(result), applied);
    });
}

#[test]
fn when_all_appliers_withdraw_nothing_of_theirs_is_left() {
    for_random(|dice, node, make| {
        let (first, second) = (make(dice), make(dice));
        let nothing = json!({"apiVersion": "v1", "kind": first["kind"], "metadata": {"name": "x"}});
        let live = apply(&Value::Null, &first, "m1", node);
        let live = apply(&live, &second, "m2", node);
        let live = apply(&live, &nothing, "m1", node);
        assert_eq!(
            without_owners(live.clone()),
            second,
            "only what m2 applied: {first:#}"
        );
        let live = apply(&live, &nothing, "m2", node);
        assert_eq!(live, nothing);
    });
}

#[test]
fn a_strategic_merge_of_an_object_into_itself_changes_nothing() {
    for_random(|dice, node, make| {
        let object = make(dice);
        let merged = patch::strategic(&object, object.to_string().as_bytes(), node);
        assert_eq!(merged, Ok(object));
    });
}

#[test]
fn a_strategic_merge_without_lists_is_a_merge_patch() {
    let node = schema::of("", "v1", "ConfigMap").expect("built in");
    for round in 0..ROUNDS {
        let mut dice = Dice(77 + round * 104_729);
        let mut object = || {
            let mut map = Map::new();
            for _ in 0..3 {
                let value = match dice.roll(4) {
                    0 => Value::Null,
                    _ => dice.word().into(),
                };
                map.insert(dice.word(), value);
            }
            json!({"data": map, "metadata": {"labels": map}})
        };
        let (doc, patch) = (object(), object());
        let doc = patch::merge(&json!({}), doc.to_string().as_bytes()).expect("an object");
        let body = patch.to_string();
        assert_eq!(
            patch::strategic(&doc, body.as_bytes(), node),
            patch::merge(&doc, body.as_bytes())
        );
    }
}

//! Objects of one version as objects of another: relabelled, or by the webhook that the
//! definition names.

use std::time::Duration;

use apimachinery::{Status, meta, random};
use custom::Conversion;
use serde_json::{Value, json};

use crate::api::Api;
use crate::served::Custom;
use crate::webhook::{ANSWER_MAX, Limits};

/// As long a webhook may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// As many objects go out in one review.
const AT_ONCE: usize = 500;
/// The versions of ConversionReview that are spoken here.
const KNOWN: [&str; 1] = ["v1"];

impl Api {
    /// The objects, of any versions of the kind, in the wanted one.
    ///
    /// # Errors
    /// 500 without a reason when the webhook cannot be asked or answers nonsense.
    pub async fn convert(
        &self,
        custom: &Custom,
        version: &str,
        mut objects: Vec<Value>,
    ) -> Result<Vec<Value>, Status> {
        let wanted = format!("{}/{version}", custom.names.group);
        let differs = |object: &Value| meta::api_version(object) != wanted;
        let places: Vec<usize> = (0..objects.len())
            .filter(|at| differs(&objects[*at]))
            .collect();
        if let Conversion::None = custom.family.definition.conversion {
            for at in places {
                objects[at]["apiVersion"] = wanted.as_str().into();
            }
            return Ok(objects);
        }
        for some in places.chunks(AT_ONCE) {
            let sent: Vec<Value> = some.iter().map(|at| objects[*at].clone()).collect();
            let from = meta::api_version(&sent[0]).to_owned();
            let asked = self.ask(custom, &wanted, &sent).await;
            let converted = asked.map_err(|why| {
                let kind = &custom.names.kind;
                Status::unclassified(format!("conversion webhook for {from}, Kind={kind} {why}"))
            })?;
            for (at, object) in some.iter().zip(converted) {
                objects[*at] = object;
            }
        }
        Ok(objects)
    }

    /// One review; the error is the rest of a sentence.
    async fn ask(
        &self,
        custom: &Custom,
        wanted: &str,
        objects: &[Value],
    ) -> Result<Vec<Value>, String> {
        let Conversion::Webhook {
            review_versions, ..
        } = &custom.family.definition.conversion
        else {
            return Err("failed: no webhook is configured".into());
        };
        let spoken = review_versions.iter().find(|v| KNOWN.contains(&v.as_str()));
        let spoken = spoken.ok_or_else(|| {
            format!("failed: none of the versions {review_versions:?} of ConversionReview is known")
        })?;
        let endpoint = match &custom.family.converter {
            Some(Ok(endpoint)) => endpoint,
            Some(Err(why)) => return Err(format!("failed: {why}")),
            None => return Err("failed: no webhook is configured".into()),
        };
        let uid = random::uid();
        let review = json!({
            "kind": "ConversionReview", "apiVersion": format!("apiextensions.k8s.io/{spoken}"),
            "request": { "uid": uid, "desiredAPIVersion": wanted, "objects": objects },
        });
        let limits = Limits {
            timeout: TIMEOUT,
            answer_max: ANSWER_MAX,
        };
        let answer = self
            .webhooks
            .post(endpoint, review.to_string().into(), limits)
            .await;
        let answer = answer.map_err(|error| format!("failed: {error}"))?;
        read(answer, &uid, wanted, objects)
    }
}

fn read(
    mut answer: Value,
    uid: &str,
    wanted: &str,
    objects: &[Value],
) -> Result<Vec<Value>, String> {
    let response = &mut answer["response"];
    let given = meta::text(response, "uid");
    if given != uid {
        return Err(format!(
            "failed: expected response.uid={uid:?}, got {given:?}"
        ));
    }
    if meta::text(response, "result.status") != "Success" {
        let why = meta::text(response, "result.message");
        let why = if why.is_empty() {
            "the webhook gave no reason"
        } else {
            why
        };
        return Err(format!("failed: {why}"));
    }
    let Value::Array(converted) = response["convertedObjects"].take() else {
        return Err(format!("returned 0 objects, expected {}", objects.len()));
    };
    if converted.len() != objects.len() {
        return Err(format!(
            "returned {} objects, expected {}",
            converted.len(),
            objects.len()
        ));
    }
    let pairs = converted.into_iter().zip(objects).enumerate();
    pairs
        .map(|(at, (new, old))| accept(new, old, wanted, at))
        .collect()
}

/// A converted object is still the same object: only labels and annotations of its
/// metadata may differ.
fn accept(mut new: Value, old: &Value, wanted: &str, at: usize) -> Result<Value, String> {
    let broken = |why: String| format!("returned invalid converted object at index {at}: {why}");
    let given = meta::api_version(&new);
    if given != wanted {
        return Err(broken(format!(
            "invalid apiVersion: expected {wanted}, got {given}"
        )));
    }
    if meta::kind(&new) != meta::kind(old) {
        let (expected, got) = (meta::kind(old), meta::kind(&new));
        return Err(broken(format!(
            "invalid kind: expected {expected}, got {got}"
        )));
    }
    if !new["metadata"].is_object() {
        return Err(broken(
            "invalid metadata of type <nil> in input object".into(),
        ));
    }
    for field in ["name", "namespace", "uid"] {
        let (before, after) = (&old["metadata"][field], &new["metadata"][field]);
        if before != after {
            return Err(broken(format!(
                "must have the same {field}: {after} != {before}"
            )));
        }
    }
    let mut metadata = old["metadata"].clone();
    for field in ["labels", "annotations"] {
        match new["metadata"].get(field) {
            Some(value) if !value.is_null() => metadata[field] = value.clone(),
            _ => drop(metadata.as_object_mut().map(|fields| fields.remove(field))),
        }
    }
    new["metadata"] = metadata;
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(object: Value) -> Value {
        json!({"response": {"uid": "u", "result": {"status": "Success"}, "convertedObjects": [object]}})
    }

    fn old() -> Value {
        json!({"apiVersion": "x.io/v1", "kind": "W", "metadata": {"name": "a", "uid": "1", "generation": 3}})
    }

    #[test]
    fn a_converted_object_keeps_its_metadata_but_for_labels() {
        let new = json!({"apiVersion": "x.io/v2", "kind": "W", "metadata": {"name": "a", "uid": "1", "generation": 9, "labels": {"l": "1"}}, "spec": {}});
        let read = read(answer(new), "u", "x.io/v2", &[old()]).expect("good");
        assert_eq!(
            read[0]["metadata"],
            json!({"name": "a", "uid": "1", "generation": 3, "labels": {"l": "1"}})
        );
    }

    #[test]
    fn nonsense_is_refused() {
        let renamed =
            json!({"apiVersion": "x.io/v2", "kind": "W", "metadata": {"name": "b", "uid": "1"}});
        for (answer, why) in [
            (
                answer(renamed),
                "returned invalid converted object at index 0: must have the same name: \"b\" != \"a\"",
            ),
            (
                answer(old()),
                "returned invalid converted object at index 0: invalid apiVersion: expected x.io/v2, got x.io/v1",
            ),
            (
                json!({"response": {"uid": "u", "result": {"status": "Failure", "message": "no"}}}),
                "failed: no",
            ),
            (json!({}), "failed: expected response.uid=\"u\", got \"\""),
        ] {
            assert_eq!(read(answer, "u", "x.io/v2", &[old()]), Err(why.to_owned()));
        }
    }
}

//! TokenRequest: posted to a service account's `/token`, hence in no table of its own.

use apimachinery::field::Error;
use serde_json::{Value, json};

use crate::defaults::{object, set_default};
use crate::errors::Errors;
use crate::node::Node;

const HOUR: i64 = 3600;
const TEN_MINUTES: i64 = 600;

pub fn default(request: &mut Value) {
    let spec = object(request, "spec");
    set_default(spec, "expirationSeconds", HOUR);
    set_default(spec, "audiences", json!([]));
}

pub fn validate(request: &Value) -> Vec<Error> {
    Errors::in_object(request, rules)
}

fn rules(request: &Node, errors: &mut Errors) {
    let seconds = request.at("spec.expirationSeconds");
    let wanted = seconds.int().unwrap_or(HOUR);
    if wanted < TEN_MINUTES {
        errors.invalid(&seconds, "may not specify a duration less than 10 minutes");
    } else if wanted > 1 << 32 {
        errors.invalid(
            &seconds,
            "may not specify a duration larger than 2^32 seconds",
        );
    }
}

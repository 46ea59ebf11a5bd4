//! Answers in the form that the client asked for.

use apimachinery::Status;
use bytes::Bytes;
use http::{Response, StatusCode};
use jiff::Timestamp;
use schema::protobuf;
use serde_json::Value;

use crate::body::Body;
use crate::negotiate::{Encoding, Form, Shape};
use crate::query::Query;
use crate::respond;
use crate::served::Served;
use crate::table::{self, Include};

/// One object.
pub fn object(
    kind: &Served,
    code: StatusCode,
    object: Bytes,
    form: Form,
    query: &Query,
) -> Result<Response<Body>, Status> {
    let form = form.of_kind(kind)?;
    let shaped = match form.shape {
        Shape::Object => object,
        Shape::Metadata => table::partial_metadata(&object),
        Shape::Table => table::of_one(kind, &object, Include::read(query), Timestamp::now())?,
    };
    encoded(code, shaped, form)
}

/// Any JSON that has no other shape.
pub fn encoded(code: StatusCode, json: Bytes, form: Form) -> Result<Response<Body>, Status> {
    if form.encoding == Encoding::Json && !form.pretty {
        return Ok(respond::json(code, json));
    }
    let value: Value = serde_json::from_slice(&json).map_err(Status::internal)?;
    if form.encoding == Encoding::Protobuf {
        return match protobuf::write(&value) {
            Ok(bytes) => Ok(respond::with(code, respond::PROTOBUF, bytes)),
            Err(protobuf::Error::UnknownKind { .. }) => {
                encoded(code, json, form.without_protobuf()?)
            }
            Err(error) => Err(Status::internal(error)),
        };
    }
    if form.encoding == Encoding::Yaml {
        let text = serde_yaml::to_string(&value).map_err(Status::internal)?;
        return Ok(respond::with(code, respond::YAML, text.into_bytes()));
    }
    let mut text = serde_json::to_vec_pretty(&value).map_err(Status::internal)?;
    text.push(b'\n');
    Ok(respond::json(code, text))
}

pub fn value(code: StatusCode, value: &Value, form: Form) -> Result<Response<Body>, Status> {
    let json = serde_json::to_vec(value).map_err(Status::internal)?;
    encoded(code, json.into(), form)
}

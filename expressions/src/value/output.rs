//! What an expression came to, as JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cel::common::types::{
    CelBool, CelBytes, CelDouble, CelDuration, CelInt, CelList, CelMap, CelMapKey, CelNull,
    CelOptional, CelString, CelTimestamp, CelType, CelUInt,
};
use cel::common::value::Val;
use chrono::SecondsFormat;
use serde_json::{Map, Number, Value};

use crate::error::EvalError;

/// The value as JSON; an absent optional is left out of lists and maps.
pub fn to_json<'v>(value: &(dyn Val + 'v)) -> Result<Value, EvalError> {
    present(value).unwrap_or(Ok(Value::Null))
}

fn present(value: &dyn Val) -> Option<Result<Value, EvalError>> {
    if let Some(optional) = value.downcast_ref::<CelOptional>() {
        return optional.option().and_then(present);
    }
    Some(if let Some(list) = value.downcast_ref::<CelList>() {
        list.inner()
            .iter()
            .filter_map(|item| present(item.as_ref()))
            .collect()
    } else if let Some(map) = value.downcast_ref::<CelMap>() {
        let entries = map.inner().iter();
        let entries = entries.filter_map(|(key, value)| {
            let value = present(value.as_ref())?;
            Some(value.map(|value| (key_text(key), value)))
        });
        entries.collect::<Result<Map<_, _>, _>>().map(Value::Object)
    } else {
        scalar(value)
    })
}

fn key_text(key: &CelMapKey) -> String {
    match key {
        CelMapKey::Bool(b) => b.inner().to_string(),
        CelMapKey::Int(i) => i.inner().to_string(),
        CelMapKey::UInt(u) => u.inner().to_string(),
        CelMapKey::String(s) => s.inner().to_owned(),
    }
}

fn scalar(value: &dyn Val) -> Result<Value, EvalError> {
    if let Some(text) = value.downcast_ref::<CelString>() {
        return Ok(text.inner().into());
    }
    if let Some(truth) = value.downcast_ref::<CelBool>() {
        return Ok((*truth.inner()).into());
    }
    if let Some(whole) = value.downcast_ref::<CelInt>() {
        return Ok((*whole.inner()).into());
    }
    if let Some(whole) = value.downcast_ref::<CelUInt>() {
        return Ok((*whole.inner()).into());
    }
    if let Some(broken) = value.downcast_ref::<CelDouble>() {
        let number = Number::from_f64(*broken.inner());
        return number.map(Value::Number).ok_or_else(|| no_json(value));
    }
    if let Some(bytes) = value.downcast_ref::<CelBytes>() {
        return Ok(STANDARD.encode(bytes.inner()).into());
    }
    if let Some(time) = value.downcast_ref::<CelTimestamp>() {
        let text = time.inner().to_utc();
        return Ok(text.to_rfc3339_opts(SecondsFormat::AutoSi, true).into());
    }
    if let Some(span) = value.downcast_ref::<CelDuration>() {
        let nanos = span.inner().num_nanoseconds().unwrap_or(i64::MAX);
        return Ok(crate::library::duration::text(nanos).into());
    }
    if let Some(kind) = value.downcast_ref::<CelType>() {
        return Ok(kind.name().into());
    }
    if value.downcast_ref::<CelNull>().is_some() {
        return Ok(Value::Null);
    }
    Err(no_json(value))
}

fn no_json(value: &dyn Val) -> EvalError {
    let kind = value.get_type().name();
    EvalError::Failed(format!("cannot convert a value of type {kind} to JSON"))
}

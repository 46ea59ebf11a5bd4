//! Capabilities that this runtime has no name for: told, and left out.
//!
//! A caller may know newer ones, and the specification has a runtime go on
//! without them (config.md, "Linux Process").

use oci_spec::runtime::Capability;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads JSON whose capabilities are at `pointer`; gives the names left out beside it.
///
/// What has no such names, and that is nearly all, is read once and as it is.
pub fn read<T: DeserializeOwned>(
    text: &[u8],
    pointer: &str,
) -> serde_json::Result<(T, Vec<String>)> {
    let error = match serde_json::from_slice(text) {
        Ok(read) => return Ok((read, Vec::new())),
        Err(error) => error,
    };
    let Ok(mut value) = serde_json::from_slice::<Value>(text) else {
        return Err(error);
    };
    let unknown = value.pointer_mut(pointer).map(leave_out_unknown);
    match unknown.filter(|names| !names.is_empty()) {
        Some(names) => Ok((serde_json::from_value(value)?, names)),
        None => Err(error),
    }
}

/// Takes the names that are no capability's out of every set.
fn leave_out_unknown(sets: &mut Value) -> Vec<String> {
    let mut unknown = Vec::new();
    let sets = sets.as_object_mut().into_iter();
    for set in sets.flat_map(|sets| sets.values_mut()) {
        let Some(names) = set.as_array_mut() else {
            continue;
        };
        names.retain(|name| match name.as_str() {
            Some(text) if !is_known(name) => {
                unknown.push(text.to_owned());
                false
            }
            _ => true,
        });
    }
    unknown.sort();
    unknown.dedup();
    unknown
}

fn is_known(name: &Value) -> bool {
    serde_json::from_value::<Capability>(name.clone()).is_ok()
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::Process;

    use super::*;

    fn process(capabilities: &str) -> serde_json::Result<(Process, Vec<String>)> {
        let text = format!(
            r#"{{"cwd": "/", "user": {{"uid": 0, "gid": 0}}, "capabilities": {capabilities}}}"#
        );
        read(text.as_bytes(), "/capabilities")
    }

    #[test]
    fn unknown_capabilities_are_left_out_and_told_once() {
        let sets = r#"{"bounding": ["CAP_NEW", "CAP_KILL"], "effective": ["CAP_NEW"]}"#;
        let (process, unknown) = process(sets).unwrap();
        assert_eq!(unknown, ["CAP_NEW"]);
        let sets = process.capabilities().clone().unwrap();
        let kept = [Capability::Kill].into_iter().collect();
        assert_eq!(sets.bounding().as_ref(), Some(&kept));
        assert!(sets.effective().as_ref().is_some_and(|set| set.is_empty()));
    }

    #[test]
    fn what_is_no_name_at_all_is_an_error() {
        assert!(process(r#"{"bounding": [5]}"#).is_err());
        assert!(process(r#"{"bounding": "CAP_KILL"}"#).is_err());
    }
}

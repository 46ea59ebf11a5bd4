//! Server-side apply.

mod last_applied;

use schema::Node;
use serde_json::Value;

use crate::managed::{self, Operation, Owner, Owners, difference, skeleton, strip};
use crate::typed::{Comparison, field_set, merge, remove, validate, with_named_fields};
use crate::{Error, FieldSet, Writer};

/// Who owned the fields of an object before its first apply.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Server-side apply of `applied` to `live`, which is [`Value::Null`] when the
/// object does not exist yet. The result carries the new `managedFields`; it
/// equals `live` when the apply changes nothing, so that the caller need not write.
/// Defaults are the caller's, afterwards; nobody owns them.
///
/// # Errors
/// [`Error::Malformed`] when `applied` speaks another version than the request or
/// has `managedFields`, [`Error::Schema`] when it does not fit the schema,
/// [`Error::Conflicts`] when others own what it changes, unless `force`.
pub fn apply(
    live: &Value,
    applied: &Value,
    writer: &Writer<'_>,
    force: bool,
    node: &Node,
) -> Result<Value, Error> {
    check(applied, writer, node)?;
    let result = apply_checked(live, applied, writer, force, node);
    let Err(Error::Conflicts(conflicts)) = result else {
        return result;
    };
    // Fields that kubectl set by client-side apply are its own to take over.
    let conflicts = last_applied::unexplained(conflicts, live, writer, node);
    if conflicts.is_empty() {
        return apply_checked(live, applied, writer, true, node);
    }
    Err(Error::Conflicts(conflicts))
}

fn check(applied: &Value, writer: &Writer<'_>, node: &Node) -> Result<(), Error> {
    let version = applied["apiVersion"].as_str().unwrap_or_default();
    if version != writer.api_version {
        return Err(Error::Malformed(format!(
            "Incorrect version specified in apply patch. Specified patch version: {version}, expected: {}",
            writer.api_version
        )));
    }
    if !applied["metadata"]["managedFields"].is_null() {
        return Err(Error::Malformed(
            "metadata.managedFields must be nil".to_owned(),
        ));
    }
    validate(node, applied).map_err(Error::Schema)
}

fn apply_checked(
    live: &Value,
    applied: &Value,
    writer: &Writer<'_>,
    force: bool,
    node: &Node,
) -> Result<Value, Error> {
    let mut owners = owners_before(live, writer, node);
    let mut before = live.clone();
    managed::remove_managed_fields(&mut before);
    let last = owners.take(writer, Operation::Apply);
    let mut fields = field_set(node, applied);
    fields.subtract_below(&FieldSet::of(writer.reset));

    let live_value = (!before.is_null()).then_some(&before);
    let merged = merge(node, live_value, Some(applied)).unwrap_or_default();
    let mut after = match &last {
        None => merged,
        Some(last) => prune(node, &merged, &last.fields.set(), &fields, &owners),
    };
    if is_go_type(node) {
        drop_nulls(&mut after);
    }

    let difference = difference(node, &before, &after, writer);
    settle_conflicts(&mut owners, &difference, force)?;
    strip(&mut fields);
    let is_new_object = before != after;
    owners.lose(&difference);
    if !fields.is_empty() {
        owners.add(applier(writer, fields, last, is_new_object));
    }
    owners.cap();
    last_applied::refresh(&mut after, applied, writer);
    managed::set(&mut after, owners);
    Ok(after)
}

/// The owners of the live object; one that was never applied is owned by whoever
/// came before.
fn owners_before(live: &Value, writer: &Writer<'_>, node: &Node) -> Owners {
    let mut owners = Owners::of(live).unwrap_or_default();
    if owners.is_empty() && !live.is_null() {
        let mut before = live.clone();
        managed::remove_managed_fields(&mut before);
        let first = Writer {
            manager: BEFORE_FIRST_APPLY,
            ..writer.clone()
        };
        owners.transfer(&first, difference(node, &skeleton(node), &before, &first));
    }
    owners
}

fn settle_conflicts(
    owners: &mut Owners,
    difference: &Comparison,
    force: bool,
) -> Result<(), Error> {
    let conflicts = owners.conflicts(&difference.changed);
    if conflicts.is_empty() || force {
        return Ok(());
    }
    Err(Error::Conflicts(conflicts))
}

/// The applier's entry; its time is that of its last change.
fn applier(writer: &Writer<'_>, fields: FieldSet, last: Option<Owner>, changed: bool) -> Owner {
    let mut owner = Owner::new(writer, Operation::Apply, fields.into());
    if let Some(last) = last
        && !changed
        && last.fields == owner.fields
        && last.api_version == owner.api_version
    {
        owner.time = last.time;
    }
    owner
}

/// Takes out what the applier set the last time, does not set any more, and
/// nobody else owns.
fn prune(
    node: &Node,
    merged: &Value,
    last: &FieldSet,
    fields: &FieldSet,
    others: &Owners,
) -> Value {
    let mut owned = fields.clone();
    for owner in others.iter() {
        owned.extend(owner.fields.set().into_owned());
    }
    let without = |set: &FieldSet| remove(node, merged, set, Some(&owned)).unwrap_or_default();
    let all_of = |value: &Value| with_named_fields(node, &field_set(node, value));
    let last = with_named_fields(node, last);
    let pruned = without(&last);

    // What is below a pruned item comes back where somebody owns it.
    let all = all_of(merged);
    let mut unowned = all.clone();
    unowned.subtract(&all_of(&pruned));
    unowned.subtract(&with_named_fields(node, &owned));
    let pruned = without(&unowned);

    // So does what nobody owns and the applier never set: a default, for instance.
    let mut gone = all;
    gone.subtract(&all_of(&pruned));
    without(&gone.intersection(&last))
}

/// Objects of custom kinds have no name in their schema; they may hold nulls.
fn is_go_type(node: &Node) -> bool {
    !matches!(node, Node::Object(object) if object.name().is_empty())
}

/// Kubernetes' types have no nulls.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => map.retain(|_, value| {
            drop_nulls(value);
            !value.is_null()
        }),
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests;

//! `delete`: removes what a container was. With `--force` whatever is left of
//! it, wherever its making was cut short; twice is no error then.

use std::path::Path;

use super::context::Context;
use super::flags::{Flag, Flags, switch};
use super::group::Owned;
use super::hooks;
use super::log::{Level, Log};
use super::place::{Place, Record};
use super::status::{Found, Status};
use super::{Refusal, Result};

pub const FLAGS: &[Flag] = &[switch(
    &["force", "f"],
    "kill what runs, and remove what is left of it",
)];

pub fn command(context: &Context, flags: &Flags) -> Result<u8> {
    let is_forced = flags.has("force");
    match delete(&context.root, flags.id(), is_forced, &context.log) {
        Err(Refusal::NotFound) if is_forced => Ok(0),
        done => done.map(|()| 0),
    }
}

fn delete(root: &Path, id: &str, is_forced: bool, log: &Log) -> Result<()> {
    let place = Place::lock_found(root, id)?;
    if matches!(place.record(), Err(Refusal::NotFound)) {
        // A runtime was killed before it made anything else.
        return if is_forced {
            place.remove()
        } else {
            Err(Refusal::NotFound)
        };
    }
    let found = Found::at(place)?;
    let status = found.status;
    // One that was never started has nothing to lose: runc's callers rely on it.
    if !is_forced && !matches!(status, Status::Stopped | Status::Created) {
        let status = status.name();
        return Err(Refusal::Status(format!(
            "cannot delete container {id} that is not stopped: {status}"
        )));
    }
    remove(&found.place, &found.record, log)
}

/// Kills and removes all there is of a container; its lock is held.
pub fn remove(place: &Place, record: &Record, log: &Log) -> Result<()> {
    Owned::of(record)?.destroy()?;
    let spec = place.spec();
    place.remove()?;
    // Poststop hooks run when nothing is left, and stop nothing.
    if let Ok(spec) = spec {
        for why in hooks::poststop(&spec, record) {
            log.write(Level::Warning, &why);
        }
    }
    Ok(())
}

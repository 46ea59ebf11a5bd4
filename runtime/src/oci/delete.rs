//! `delete`: removes what a container was. With `--force` whatever is left of
//! it, wherever its making was cut short; twice is no error then.

use std::path::Path;

use oci_spec::runtime::Spec;

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
    match place.record() {
        // A runtime was killed before it made anything else.
        Err(Refusal::NotFound) if is_forced => return place.remove(),
        record => record.map(drop)?,
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
    let (owned, spec) = (found.owned()?, found.place.spec());
    remove(&found.place, &owned)?;
    if let Some(process) = found.record.process {
        process.await_end()?;
    }
    match spec {
        Ok(spec) => tell_poststop(&spec, &found.record, log),
        Err(why) => log.write(Level::Warning, &format!("no poststop hook was run: {why}")),
    }
    Ok(())
}

/// Kills and removes all there is of a container; its lock is held.
pub fn remove(place: &Place, owned: &Owned) -> Result<()> {
    owned.destroy()?;
    place.remove()
}

/// Poststop hooks run when nothing is left, and stop nothing.
pub fn tell_poststop(spec: &Spec, record: &Record, log: &Log) {
    for why in hooks::poststop(spec, record) {
        log.write(Level::Warning, &why);
    }
}

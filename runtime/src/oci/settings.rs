//! `pause` and `resume`.

use super::context::Context;
use super::flags::Flags;
use super::status::{Found, Status};
use super::{Refusal, Result};

pub fn pause(context: &Context, flags: &Flags) -> Result<u8> {
    let found = Found::lock(&context.root, flags.id())?;
    match found.status {
        Status::Running | Status::Created => found.group()?.freeze(true)?,
        status => {
            let why = format!("container not running or created: {}", status.name());
            return Err(Refusal::Status(why));
        }
    }
    Ok(0)
}

pub fn resume(context: &Context, flags: &Flags) -> Result<u8> {
    let found = Found::lock(&context.root, flags.id())?;
    if found.status != Status::Paused {
        return Err(Refusal::Status("container not paused".into()));
    }
    found.group()?.freeze(false)?;
    Ok(0)
}

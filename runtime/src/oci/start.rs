//! `start`: lets a created container execute its program.

use super::context::Context;
use super::error::OrRefuse;
use super::flags::Flags;
use super::hooks;
use super::status::{Found, Status};
use super::{Refusal, Result};
use crate::init::pause;
use crate::protocol::Failure;

pub fn command(context: &Context, flags: &Flags) -> Result<u8> {
    let found = Found::lock(&context.root, flags.id())?;
    let why = match found.status {
        Status::Created => {
            start(&found)?;
            return Ok(0);
        }
        Status::Stopped => "cannot start a container that has stopped",
        Status::Creating => "cannot start a container that was not created to the end",
        Status::Paused => "cannot start a container in the paused state",
        Status::Running => "cannot start an already running container",
    };
    Err(Refusal::Status(why.into()))
}

fn start(found: &Found) -> Result<()> {
    pause::start(&found.place.dir).map_err(refusal)?;
    let spec = found.place.spec()?;
    if let Err(why) = hooks::poststart(&spec, &found.record) {
        // The container goes with its hooks, as in runc.
        let killed = found.group()?.kill_all();
        killed.or_refuse(|| "kill the container".into())?;
        return Err(why);
    }
    Ok(())
}

pub fn refusal(failure: Failure) -> Refusal {
    match failure {
        Failure::NotFound | Failure::NotRunning => {
            Refusal::Status("cannot start an already running container".into())
        }
        Failure::Create(why) | Failure::Exec(why) | Failure::Refused(why) => Refusal::Start(why),
    }
}

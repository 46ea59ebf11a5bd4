//! `start`: lets a created container execute its program.

use std::os::fd::AsFd;

use super::context::Context;
use super::error::OrRefuse;
use super::flags::Flags;
use super::hooks;
use super::notify::{self, Listener, Notify};
use super::place::Process;
use super::status::{Found, Status};
use super::{Refusal, Result};
use crate::init::pause;
use crate::protocol::Failure;

pub fn command(context: &Context, flags: &Flags) -> Result<u8> {
    let mut found = Found::lock(&context.root, flags.id())?;
    let why = match found.status {
        Status::Created => {
            let listener = listen(&found)?;
            start(&found)?;
            // While it runs it is everybody's.
            found.place.unlock();
            if let (Some(listener), Some(process)) = (listener, found.record.process) {
                context.log.warns_of(pass_on(&listener, process));
            }
            return Ok(0);
        }
        Status::Stopped => "cannot start a container that has stopped",
        Status::Creating => "cannot start a container that was not created to the end",
        Status::Paused => "cannot start a container in the paused state",
        Status::Running => "cannot start an already running container",
    };
    Err(Refusal::Status(why.into()))
}

/// Where the container was made with a socket to say that it is ready by.
fn listen(found: &Found) -> Result<Option<Listener>> {
    let notify = Notify::wanted(&found.place.dir).filter(Notify::is_there);
    notify.map(Notify::listen).transpose()
}

fn pass_on(listener: &Listener, process: Process) -> Result<()> {
    match notify::pidfd_of(process) {
        Some(pidfd) => listener.pass_on(process, pidfd.as_fd()),
        None => Ok(()),
    }
}

fn start(found: &Found) -> Result<()> {
    // What it takes to undo the start comes before it.
    let (spec, group) = (found.place.spec()?, found.group()?);
    let started = match pause::start(&found.place.dir) {
        Err(failure @ (Failure::NotRunning | Failure::Refused(_))) => return Err(refusal(failure)),
        started => started.map_err(refusal),
    };
    let done = started.and_then(|()| hooks::poststart(&spec, &found.record));
    if done.is_err() {
        // The container goes with its hooks, as in runc.
        let killed = group.kill_all();
        killed.or_refuse(|| "kill the container".into())?;
    }
    done
}

pub fn refusal(failure: Failure) -> Refusal {
    match failure {
        Failure::NotFound | Failure::NotRunning => {
            Refusal::Status("cannot start an already running container".into())
        }
        Failure::Create(why) | Failure::Exec(why) | Failure::Refused(why) => Refusal::Start(why),
    }
}

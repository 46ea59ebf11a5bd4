//! `run`: create, start, wait, delete.

use std::os::fd::AsFd;

use super::context::Context;
use super::create::{Made, Mode, make};
use super::error::OrRefuse;
use super::flags::Flags;
use super::wait::{Served, Signals};
use super::{Refusal, Result, delete, hooks, program};

pub fn command(context: &Context, flags: &Flags) -> Result<u8> {
    program::make_unwritable()?;
    let done = if flags.has("detach") {
        run_detached(context, flags)
    } else {
        run_here(context, flags)
    };
    done.map_err(|e| e.of(format!("{} run", context.name)))
}

fn run_detached(context: &Context, flags: &Flags) -> Result<u8> {
    let mut made = make(context, flags, Mode::RunDetached)?;
    started(context, &made)?;
    made.place.unlock();
    let listener = made.listener.take();
    if let (Some(listener), Some(process)) = (listener, made.record.process) {
        // It runs, whoever hears of it.
        let told = listener.pass_on(process, made.init.pidfd.as_fd());
        context.log.warns_of(told);
    }
    made.init.keep();
    Ok(0)
}

fn run_here(context: &Context, flags: &Flags) -> Result<u8> {
    if !flags.has("no-subreaper") {
        nix::sys::prctl::set_child_subreaper(true).or_refuse(|| "reap orphans".into())?;
    }
    let signals = Signals::hold_back()?;
    let mut made = make(context, flags, Mode::RunHere)?;
    started(context, &made)?;
    // While it runs it is everybody's: to pause, to kill, to delete.
    made.place.unlock();
    let terminal = made.terminal.take();
    let served = Served {
        child: made.init.pid,
        pidfd: &made.init.pidfd,
        signals: &signals,
        listener: made.listener.take(),
    };
    let code = served.until_end(terminal, &context.log);
    if flags.has("keep") {
        made.owned.group.kill_all()?;
        return code;
    }
    let removed = match made.place.lock() {
        Ok(true) => remove(context, &made),
        // Somebody was faster.
        Ok(false) => Ok(()),
        Err(why) => Err(Refusal::Left(Box::new(why))),
    };
    code.and_then(|code| removed.map(|()| code))
}

fn started(context: &Context, made: &Made) -> Result<()> {
    let poststart = hooks::poststart(&made.spec, &made.record);
    poststart.or_else(|why| {
        made.init.kill();
        remove(context, made).map_err(|left| Refusal::failed(&why, left))?;
        Err(why)
    })
}

fn remove(context: &Context, made: &Made) -> Result<()> {
    let removed = delete::remove(&made.place, &made.owned);
    removed.map_err(|why| Refusal::Left(Box::new(why)))?;
    delete::tell_poststop(&made.spec, &made.record, &context.log);
    Ok(())
}

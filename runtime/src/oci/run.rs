//! `run`: create, start, wait, delete.

use super::context::Context;
use super::create::{Made, Mode, make};
use super::error::OrRefuse;
use super::flags::Flags;
use super::wait::{Signals, serve};
use super::{Result, delete, hooks, program};

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
    let made = make(context, flags, Mode::RunDetached)?;
    started(context, &made)?;
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
    let code = serve(made.init.pid, &made.init.pidfd, &signals, terminal);
    if flags.has("keep") {
        made.owned.group.kill_all()?;
        return code;
    }
    if made.place.lock()? {
        remove(context, &made)?;
    }
    code
}

fn started(context: &Context, made: &Made) -> Result<()> {
    let poststart = hooks::poststart(&made.spec, &made.record);
    if poststart.is_err() {
        made.init.kill();
        remove(context, made)?;
    }
    poststart
}

fn remove(context: &Context, made: &Made) -> Result<()> {
    delete::remove(&made.place, &made.owned)?;
    delete::tell_poststop(&made.spec, &made.record, &context.log);
    Ok(())
}

//! `create`, and what `run` has in common with it: making a container.
//!
//! What is made is written down first, and every failure undoes all of it.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;
use oci_spec::runtime::{ContainerState, Process as Program, Spec};

use super::console::{self, Console};
use super::context::Context;
use super::error::OrRefuse;
use super::flags::Flags;
use super::group::{self, Owned};
use super::notify::{Listener, Notify};
use super::place::{Config, Place, Process, Record, read_spec};
use super::status::PidFile;
use super::{Refusal, Result, hooks, program};
use crate::init::Pause;
use crate::init::alone::Options;
use crate::init::create::{Creation, Init, Word, create};

/// Whether the program waits for `start`, and who stays with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Create,
    RunDetached,
    RunHere,
}

/// A container whose program waits, or runs.
pub struct Made {
    pub place: Place,
    pub record: Record,
    pub spec: Spec,
    pub owned: Owned,
    pub init: Init,
    /// The master end of its terminal, where that is ours to serve.
    pub terminal: Option<OwnedFd>,
    /// Where it says that it is ready, if anybody wants to know.
    pub listener: Option<Listener>,
}

pub fn command(context: &Context, flags: &Flags) -> Result<u8> {
    let made = program::make_unwritable().and_then(|()| make(context, flags, Mode::Create));
    made.map(|made| made.init.keep())
        .map(|()| 0)
        .map_err(|e| e.of(format!("{} create", context.name)))
}

pub fn make(context: &Context, flags: &Flags, mode: Mode) -> Result<Made> {
    let bundle = enter_bundle(flags.value("bundle"))?;
    let Config {
        mut spec,
        text,
        unknown,
    } = read_spec(&bundle)?;
    context.log.leaves_out(&unknown);
    if let Some(program) = spec.process_mut() {
        hand_on_activation(program);
    }
    super::place::check_id(flags.id())?;
    let notify = Notify::wanted(&context.root.join(flags.id()));
    if let Some(notify) = &notify {
        notify.add_to(&mut spec);
    }
    let program = check(&spec)?;
    let console = Console::of(
        program,
        flags.value("console-socket"),
        mode != Mode::RunHere,
    )?;
    let record = record(context, flags.id(), &bundle, &spec)?;
    let place = Place::make(&context.root, flags.id())?;
    let owned = match write_down(&place, &record, &text) {
        Ok(owned) => owned,
        // The directory is all there is.
        Err(refusal) => return Err(place.undone(refusal, || Ok(()))),
    };
    let making = Making {
        flags,
        mode,
        console: &console,
        place: &place,
        spec: &spec,
        owned: &owned,
    };
    match making.run(record, notify) {
        Ok((record, init, terminal, listener)) => Ok(Made {
            place,
            record,
            spec,
            owned,
            init,
            terminal,
            listener,
        }),
        Err(refusal) => Err(place.undone(refusal, || owned.destroy())),
    }
}

/// What is about to be made, so that it is found whatever happens.
fn write_down(place: &Place, record: &Record, config: &[u8]) -> Result<Owned> {
    let owned = Owned::of(record)?;
    // Before it is called ours: what is ours is killed when something fails.
    owned.group.check_unused()?;
    place.begin(record, config)?;
    Ok(owned)
}

/// One container being made.
struct Making<'a> {
    flags: &'a Flags,
    mode: Mode,
    console: &'a Console,
    place: &'a Place,
    spec: &'a Spec,
    owned: &'a Owned,
}

type Running = (Record, Init, Option<OwnedFd>, Option<Listener>);

impl Making<'_> {
    fn run(&self, mut record: Record, notify: Option<Notify>) -> Result<Running> {
        // Else whoever starts it listens.
        let listener = match notify {
            Some(notify) => {
                notify.make_dir()?;
                let is_run = self.mode != Mode::Create;
                is_run.then(|| notify.listen()).transpose()?
            }
            None => None,
        };
        // Until the container's process is in it.
        let _place_holder = self.owned.make(&record.id, self.spec)?;
        let init = self.fork(&record)?;
        let terminal = self.bring_up(&init, &mut record)?;
        Ok((record, init, terminal, listener))
    }

    fn fork(&self, record: &Record) -> Result<Init> {
        let seccomp = self
            .spec
            .linux()
            .as_ref()
            .and_then(|l| l.seccomp().as_ref());
        let filter = seccomp.map(crate::seccomp::compile).transpose()?;
        let pause = match self.mode {
            Mode::Create => {
                Some(Pause::make(&self.place.dir).or_refuse(|| "make the start's fifo".into())?)
            }
            Mode::RunDetached | Mode::RunHere => None,
        };
        let creation = Creation {
            spec: self.spec,
            bundle: &record.bundle,
            // Any directory will do, in the container's mount namespace.
            staging: &self.place.dir,
            group: &self.owned.group,
            filter: filter.as_deref(),
            stdio: self.console.stdio(),
            state: hooks::state(record, ContainerState::Creating),
            pause,
            options: options(self.flags)?,
        };
        create(creation).map_err(super::start::refusal)
    }

    /// Serves the container's process until its program runs, or waits for the start.
    fn bring_up(&self, init: &Init, record: &mut Record) -> Result<Option<OwnedFd>> {
        record.process = Some(Process::of(init.pid.as_raw())?);
        let mut terminal = None;
        loop {
            match next(init)? {
                Word::Terminal(master) => terminal = self.console.take(master)?,
                Word::Mounted => {
                    if self.spec.hooks().is_some() {
                        // A hook may ask for it. Until here the group alone says what to kill.
                        self.place.save(record)?;
                    }
                    hooks::create_runtime(self.spec, record)?;
                    init.go_on()
                        .or_refuse(|| "let the container go on".into())?;
                }
                Word::Notify(listener) => {
                    console::send_listener(self.spec, record, listener)?;
                    init.go_on()
                        .or_refuse(|| "let the container go on".into())?;
                }
                Word::Created => break,
                Word::Failed(failure) => return Err(super::start::refusal(failure)),
                Word::Gone => return Err(died(init.pid)),
            }
        }
        record.is_complete = true;
        self.place.save(record)?;
        let pid_file = PidFile::write(self.flags.value("pid-file"), init.pid)?;
        if self.mode != Mode::Create {
            executed(init)?;
        }
        pid_file.keep();
        Ok(terminal)
    }
}

fn next(init: &Init) -> Result<Word> {
    init.next()
        .or_refuse(|| "hear of the container's process".into())
}

/// Waits until the program is executed.
pub fn executed(init: &Init) -> Result<()> {
    match next(init)? {
        Word::Failed(failure) => Err(super::start::refusal(failure)),
        _ => Ok(()),
    }
}

/// It said nothing at its end: something killed it.
pub fn died(pid: Pid) -> Refusal {
    let status = nix::sys::wait::waitpid(pid, None);
    let why = match status {
        Ok(nix::sys::wait::WaitStatus::Signaled(_, signal, _)) => {
            format!("its first process was killed by {signal}; is its memory limit too low?")
        }
        _ => "its first process ended".into(),
    };
    Refusal::Start(why)
}

/// The bundle, which relative paths of its config are relative to.
fn enter_bundle(bundle: Option<&str>) -> Result<PathBuf> {
    let bundle = bundle.filter(|b| !b.is_empty()).unwrap_or(".");
    let path = std::fs::canonicalize(bundle).or_refuse(|| format!("chdir {bundle}"))?;
    nix::unistd::chdir(&path).or_refuse(|| format!("chdir {bundle}"))?;
    Ok(path)
}

/// What no container can do without; the rest is found out where it is used.
fn check(spec: &Spec) -> Result<&Program> {
    let refused = |why: &str| Refusal::failed("config.json", why);
    if !spec.version().starts_with("1.") {
        return Err(refused("ociVersion: wanted 1.x"));
    }
    if spec.root().is_none() {
        return Err(refused("root must be there"));
    }
    let program = spec.process().as_ref();
    let program = program.ok_or_else(|| refused("process must be there"))?;
    if program.args().as_ref().is_none_or(Vec::is_empty) {
        return Err(refused("process.args must not be empty"));
    }
    if !program.cwd().is_absolute() {
        return Err(refused("process.cwd must be an absolute path"));
    }
    Ok(program)
}

fn record(context: &Context, id: &str, bundle: &Path, spec: &Spec) -> Result<Record> {
    super::place::check_id(id)?;
    let (cgroup, scope) = group::wanted(context, spec, id)?;
    let root = spec.root().as_ref().map(|r| bundle.join(r.path()));
    let rootfs = root.unwrap_or_default();
    let annotations: HashMap<String, String> = spec.annotations().clone().unwrap_or_default();
    Ok(Record {
        oci_version: spec.version().clone(),
        id: id.to_owned(),
        bundle: bundle.to_owned(),
        rootfs: std::fs::canonicalize(&rootfs)
            .or_refuse(|| format!("the root file system {}", rootfs.display()))?,
        created: jiff::Timestamp::now(),
        cgroup,
        scope,
        annotations,
        process: None,
        is_complete: false,
    })
}

/// Tells the program of the sockets that it was activated by (sd_listen_fds(3)).
pub fn hand_on_activation(program: &mut Program) {
    let sockets = activated();
    if sockets > 0 {
        let mut env = program.env().clone().unwrap_or_default();
        env.push(format!("LISTEN_FDS={sockets}"));
        env.push("LISTEN_PID=1".into());
        program.set_env(Some(env));
    }
}

/// How many sockets a service manager has opened for us.
fn activated() -> u32 {
    let sockets = std::env::var("LISTEN_FDS").ok();
    sockets.and_then(|n| n.parse().ok()).unwrap_or(0)
}

pub fn options(flags: &Flags) -> Result<Options> {
    let asked = flags.number::<u32>("preserve-fds")?.unwrap_or(0);
    let preserve_fds = asked.saturating_add(activated());
    console::check_open(preserve_fds)?;
    Ok(Options {
        no_pivot: flags.has("no-pivot"),
        keeps_keyring: flags.has("no-new-keyring"),
        preserve_fds,
    })
}

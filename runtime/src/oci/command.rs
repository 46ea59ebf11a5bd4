//! The commands: a table, and what is done with it.

use super::context::{Context, FLAGS};
use super::flags::{Flag, Flags, Order, switch, value};
use super::log::{Level, Log};
use super::{Refusal, Result, SPEC_VERSION, say};
use super::{create, delete, events, exec, kill, query, run, settings, spec, start, update};

/// One command.
struct Command {
    name: &'static str,
    about: &'static str,
    /// What its arguments are called.
    args: &'static str,
    /// How many there must be, and may be.
    count: (usize, usize),
    order: Order,
    flags: &'static [Flag],
    run: fn(&Context, &Flags) -> Result<u8>,
}

const ID: &str = "<container-id>";
const ANY: usize = usize::MAX;

const CREATE_FLAGS: [Flag; 6] = [
    value(
        &["bundle", "b"],
        "dir",
        "the bundle (default: the current directory)",
    ),
    value(
        &["console-socket"],
        "path",
        "the socket that takes the terminal's master end",
    ),
    value(&["pid-file"], "file", "where to write the process id"),
    switch(
        &["no-pivot"],
        "move and change the root instead of pivoting",
    ),
    switch(&["no-new-keyring"], "keep the caller's session keyring"),
    value(
        &["preserve-fds"],
        "n",
        "pass on n descriptors after the standard ones",
    ),
];

const RUN_FLAGS: &[Flag] = {
    let [a, b, c, d, e, f] = CREATE_FLAGS;
    &[
        a,
        b,
        c,
        d,
        e,
        f,
        switch(&["detach", "d"], "leave the container running"),
        switch(&["keep"], "do not delete the container when it ends"),
        switch(&["no-subreaper"], "leave orphans to init"),
    ]
};

const COMMANDS: &[Command] = &[
    command(
        "create",
        "create a container",
        ID,
        (1, 1),
        &CREATE_FLAGS,
        create::command,
    ),
    command(
        "run",
        "create and start a container",
        ID,
        (1, 1),
        RUN_FLAGS,
        run::command,
    ),
    command(
        "start",
        "start a created container",
        ID,
        (1, 1),
        &[],
        start::command,
    ),
    command(
        "state",
        "print a container's state",
        ID,
        (1, 1),
        &[],
        query::state,
    ),
    command(
        "kill",
        "send a signal to a container",
        "<container-id> [signal]",
        (1, 2),
        kill::FLAGS,
        kill::command,
    ),
    command(
        "delete",
        "remove a container",
        ID,
        (1, 1),
        delete::FLAGS,
        delete::command,
    ),
    late(
        "exec",
        "run one more process in a container",
        "<container-id> <command> [args...]",
        exec::FLAGS,
        exec::command,
    ),
    command(
        "list",
        "list the containers of a root",
        "",
        (0, 0),
        query::LIST_FLAGS,
        query::list,
    ),
    late(
        "ps",
        "list a container's processes",
        "<container-id> [ps options]",
        query::PS_FLAGS,
        query::ps,
    ),
    command(
        "events",
        "print a container's use of the machine",
        ID,
        (1, 1),
        events::FLAGS,
        events::command,
    ),
    command(
        "update",
        "change a container's limits",
        ID,
        (1, 1),
        update::FLAGS,
        update::command,
    ),
    command(
        "pause",
        "suspend a container's processes",
        ID,
        (1, 1),
        &[],
        settings::pause,
    ),
    command(
        "resume",
        "go on with a container's processes",
        ID,
        (1, 1),
        &[],
        settings::resume,
    ),
    command(
        "spec",
        "write a config.json to start from",
        "",
        (0, 0),
        spec::FLAGS,
        spec::command,
    ),
    command(
        "features",
        "print what this runtime can do",
        "",
        (0, 0),
        &[],
        spec::features,
    ),
    late("checkpoint", "not supported", "", &[], refuse_checkpoint),
    late("restore", "not supported", "", &[], refuse_checkpoint),
];

const fn command(
    name: &'static str,
    about: &'static str,
    args: &'static str,
    count: (usize, usize),
    flags: &'static [Flag],
    run: fn(&Context, &Flags) -> Result<u8>,
) -> Command {
    Command {
        name,
        about,
        args,
        count,
        order: Order::Anywhere,
        flags,
        run,
    }
}

/// One whose arguments may look like flags.
const fn late(
    name: &'static str,
    about: &'static str,
    args: &'static str,
    flags: &'static [Flag],
    run: fn(&Context, &Flags) -> Result<u8>,
) -> Command {
    Command {
        order: Order::BeforeArguments,
        ..command(name, about, args, (1, ANY), flags, run)
    }
}

/// Runs what the command line asks for, and logs why not; gives the exit code.
pub fn run(name: &str, args: Vec<String>) -> u8 {
    let global = match Flags::parse(FLAGS, args, Order::BeforeArguments) {
        Ok(global) => global,
        Err(refusal) => return tell(&Log::stderr(), &refusal),
    };
    if global.has("version") {
        say(version(name));
        return 0;
    }
    let mut words = global.args.iter().cloned();
    let word = words.next().unwrap_or_else(|| "help".into());
    if global.has("help") || word == "help" {
        say(usage(name));
        return 0;
    }
    let context = match Context::new(name, &global) {
        Ok(context) => context,
        Err(refusal) => return tell(&Log::stderr(), &refusal),
    };
    match COMMANDS.iter().find(|c| c.name == word) {
        Some(command) => command.run(&context, words.collect()),
        None => {
            let refusal = Refusal::Usage(format!("No help topic for '{word}'"));
            tell(&context.log, &refusal);
            3
        }
    }
}

impl Command {
    fn run(&self, context: &Context, args: Vec<String>) -> u8 {
        let leading = args.iter().take_while(|a| a.starts_with('-'));
        if leading.into_iter().any(|a| a == "--help" || a == "-h") {
            say(self.usage(&context.name));
            return 0;
        }
        let done = Flags::parse(self.flags, args, self.order)
            .and_then(|flags| self.check(&context.name, &flags).map(|()| flags))
            .and_then(|flags| (self.run)(context, &flags));
        match done {
            Ok(code) => code,
            Err(refusal) => tell(&context.log, &refusal),
        }
    }

    fn check(&self, name: &str, flags: &Flags) -> Result<()> {
        let (least, most) = self.count;
        let wanted = match flags.args.len() {
            n if n < least && least == most => format!("exactly {least}"),
            n if n < least => format!("a minimum of {least}"),
            n if n > most && least == most => format!("exactly {most}"),
            n if n > most => format!("a maximum of {most}"),
            _ => return Ok(()),
        };
        let word = self.name;
        Err(Refusal::Usage(format!(
            "{name}: {word:?} requires {wanted} argument(s)"
        )))
    }

    fn usage(&self, name: &str) -> String {
        let (word, about, args) = (self.name, self.about, self.args);
        let head = format!("{name} {word}: {about}\n\nUsage: {name} {word} [options] {args}");
        head + &options(self.flags)
    }
}

fn refuse_checkpoint(_: &Context, _: &Flags) -> Result<u8> {
    // A checkpoint's names lead to paths of the host (CVE-2026-119101, CVE-2026-115520).
    Err(Refusal::Usage(
        "checkpoint and restore are not supported: what a checkpoint names cannot be trusted"
            .into(),
    ))
}

fn tell(log: &Log, refusal: &Refusal) -> u8 {
    log.write(Level::Error, &refusal.to_string());
    refusal.code()
}

fn version(name: &str) -> String {
    let ours = env!("CARGO_PKG_VERSION");
    format!("{name} version {ours}\ncommit: skiff-{ours}\nspec: {SPEC_VERSION}")
}

fn usage(name: &str) -> String {
    let mut text =
        format!("{name}: an OCI runtime\n\nUsage: {name} [options] <command> ...\n\nCommands:");
    for command in COMMANDS {
        text += &format!("\n  {:<12}{}", command.name, command.about);
    }
    text + &options(FLAGS)
}

fn options(flags: &[Flag]) -> String {
    let mut text = String::new();
    for flag in flags {
        let dashed = |n: &&str| match n.len() {
            1 => format!("-{n}"),
            _ => format!("--{n}"),
        };
        let names: Vec<String> = flag.names.iter().map(dashed).collect();
        let value = flag.value.map(|v| format!(" <{v}>")).unwrap_or_default();
        let names = names.join(", ") + &value;
        text += &format!("\n  {names:<28}{}", flag.help);
    }
    match text.as_str() {
        "" => text,
        _ => format!("\n\nOptions:{text}"),
    }
}

//! The command line of an OCI runtime: what runc's callers call.
//!
//! A container's life here needs no process of ours: `create` leaves the
//! container's first process waiting on a fifo, `start` lets it go on, and
//! everything else is read from the container's directory and the kernel. A
//! runtime killed at any point leaves a directory that `delete --force` cleans
//! up, for what is made is written down before it is made.
//!
//! One file a command; [`command`] lists them. Called before the program has a
//! thread, for the container's first process is forked from here.

use std::ffi::OsString;
use std::process::ExitCode;

mod capabilities;
mod command;
mod console;
mod context;
mod create;
mod delete;
mod error;
mod events;
mod exec;
mod flags;
mod group;
mod hooks;
mod kill;
mod log;
mod notify;
mod place;
mod program;
mod query;
mod run;
mod settings;
mod spec;
mod start;
mod status;
mod update;
mod wait;

pub use error::Refusal;

/// Prints a line; who has closed the pipe does not want to read it.
fn say(line: impl std::fmt::Display) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// As [`say`], on the standard error.
fn say_error(line: impl std::fmt::Display) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// What every step of a command returns.
type Result<T> = std::result::Result<T, Refusal>;

/// The OCI runtime specification that this is one of.
pub const SPEC_VERSION: &str = "1.2.0";

/// Runs one command. `args` are those after the program's name, which is `name`.
pub fn main(name: &str, args: impl IntoIterator<Item = OsString>) -> ExitCode {
    // One of many commands of a large program: it stays small where the kernel lets it.
    let _by_page = sys::memory::map_program_by_page();
    let args = args.into_iter().map(OsString::into_string);
    let Ok(args) = args.collect::<std::result::Result<Vec<String>, _>>() else {
        say_error(format_args!("{name}: arguments must be UTF-8"));
        return ExitCode::FAILURE;
    };
    ExitCode::from(command::run(name, args))
}

//! `skiff oci`: the OCI runtime that runc's callers can call.
//!
//! Its flags are runc's and are read in the crate that does the work, before
//! anything else of skiff starts; here is only its place among the commands.

use std::process::ExitCode;

use clap::Args;

#[derive(Args)]
#[command(disable_help_flag = true)]
pub struct Oci {
    /// As of runc: `skiff oci --help` tells
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<std::ffi::OsString>,
}

impl Oci {
    pub fn run(self) -> ExitCode {
        runtime::oci::main("skiff", self.args)
    }
}

/// Whether the command line is for an OCI runtime, which is then run at once: a
/// container is started in less time than the flags of all commands take to read.
pub fn taken() -> Option<ExitCode> {
    let mut args = std::env::args_os();
    let called = args.next()?;
    if std::path::Path::new(&called).file_name()? == "runc" {
        return Some(runtime::oci::main("runc", args));
    }
    (args.next()? == "oci").then(|| runtime::oci::main("skiff", args))
}

//! stub
use std::process::ExitCode;
pub fn main(_args: Vec<std::ffi::OsString>) -> ExitCode {
    todo!()
}

//! Running programs to their end.

use std::process::{Command, Output};

/// Runs `command`, and returns what it printed; a failure fails the test.
#[track_caller]
pub fn ok(command: &mut Command) -> String {
    let output = output(command);
    assert!(
        output.status.success(),
        "{command:?} ended with {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs `command`, which must fail, and returns what it said.
#[track_caller]
pub fn fails(command: &mut Command) -> String {
    let output = output(command);
    assert!(!output.status.success(), "{command:?} did not fail");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs `command` and returns whatever came of it.
#[track_caller]
pub fn output(command: &mut Command) -> Output {
    match command.output() {
        Ok(output) => output,
        Err(error) => panic!("{command:?}: {error}"),
    }
}

//! The blocks of a run as one shell script, and what it tells of them.

use std::fmt::Write;
use std::process::{Command, Stdio};

use crate::page::{Page, Run};

/// Before what is told of a block; nothing that a program prints begins like this.
const MARK: &str = "@docs@";

/// Bash's input: the blocks exactly as they are written, and a line after each.
#[track_caller]
pub fn of(page: &Page, run: &Run) -> String {
    let mut script = String::from("set -euo pipefail\n");
    let place = |line: usize| format!("docs/{}:{line}", page.file);
    let _ = writeln!(
        script,
        "trap 'echo \"{MARK} failed with $?: $BASH_COMMAND\"' ERR"
    );
    for block in &run.blocks {
        assert_is_whole(&place(block.line), &block.text);
        mark(&mut script, "begin", &place(block.line));
        script.push_str(&block.text);
        mark(&mut script, "end", &place(block.line));
    }
    script
}

/// On a line of its own, also after what ends without one.
fn mark(script: &mut String, what: &str, place: &str) {
    let _ = writeln!(script, "printf '\\n{MARK} {what} {place}\\n'");
}

/// A block that ends within a word or a document would swallow what follows it.
#[track_caller]
fn assert_is_whole(place: &str, text: &str) {
    let mut bash = Command::new("bash");
    bash.args(["-n", "-c", text]).stdin(Stdio::null());
    let output = e2e::run::output(&mut bash);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.is_empty(),
        "{place}: {said}"
    );
}

/// How many blocks came to their end.
pub fn ended(output: &str) -> usize {
    let end = format!("{MARK} end ");
    output.lines().filter(|line| line.starts_with(&end)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(blocks: &str) -> (bool, String) {
        let page =
            Page::parse("x.md", &format!("<!-- run: machine -->\n{blocks}")).expect("it is a page");
        let script = of(&page, &page.runs[0]);
        let output = e2e::run::output(Command::new("bash").arg("-c").arg(script));
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    }

    #[test]
    fn blocks_are_one_shell() {
        let (succeeded, output) = run("```sh\na=1\n```\n```sh\necho $a\n```\n");
        assert!(succeeded && output.contains("\n1\n"), "{output}");
        assert_eq!(ended(&output), 2);
    }

    #[test]
    fn first_command_that_fails_ends_it_and_is_named() {
        let (succeeded, output) =
            run("```sh\ntrue\n```\n```sh\nfalse | cat\ntrue\n```\n```sh\ntrue\n```\n");
        assert!(!succeeded);
        assert!(
            output.contains("begin docs/x.md:6") && output.contains("failed with 1: "),
            "{output}"
        );
        assert_eq!(ended(&output), 1);
    }
}

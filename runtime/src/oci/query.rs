//! `state`, `list` and `ps`: what is known of containers.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use jiff::Timestamp;
use serde::Serialize;

use super::context::Context;
use super::error::OrRefuse;
use super::flags::{Flag, Flags, switch, value};
use super::log::Level;
use super::place::ids;
use super::status::{Found, Status};
use super::{Refusal, Result, say};

pub const LIST_FLAGS: &[Flag] = &[
    value(&["format", "f"], "format", "table (default) or json"),
    switch(&["quiet", "q"], "only the ids"),
];

pub const PS_FLAGS: &[Flag] = &[value(&["format", "f"], "format", "table (default) or json")];

/// A container as runc tells of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    oci_version: &'a str,
    id: &'a str,
    pid: i32,
    status: Status,
    bundle: &'a Path,
    rootfs: &'a Path,
    created: Timestamp,
    #[serde(skip_serializing_if = "HashMap::is_empty")]
    annotations: &'a HashMap<String, String>,
    owner: &'a str,
}

fn told<'a>(found: &'a Found, owner: &'a str) -> Told<'a> {
    let record = &found.record;
    let process = record.process.filter(|_| found.status != Status::Stopped);
    Told {
        oci_version: &record.oci_version,
        id: &record.id,
        pid: process.map_or(0, |p| p.pid),
        status: found.status,
        bundle: &record.bundle,
        rootfs: &record.rootfs,
        created: record.created,
        annotations: &record.annotations,
        owner,
    }
}

pub fn state(context: &Context, flags: &Flags) -> Result<u8> {
    let found = Found::look(&context.root, flags.id())?;
    let text = serde_json::to_string_pretty(&told(&found, ""));
    say(text.expect("a state has only string keys"));
    Ok(0)
}

pub fn list(context: &Context, flags: &Flags) -> Result<u8> {
    let mut all = Vec::new();
    for id in ids(&context.root)? {
        match Found::look(&context.root, &id) {
            Ok(found) => all.push(found),
            // It went meanwhile, or is being made.
            Err(Refusal::NotFound) => {}
            Err(e) => context
                .log
                .write(Level::Error, &format!("load container {id}: {e}")),
        }
    }
    if flags.has("quiet") {
        all.iter().for_each(|found| say(&found.record.id));
        return Ok(0);
    }
    match format(flags)? {
        Format::Json => {
            let told: Vec<_> = all.iter().map(|found| told(found, "root")).collect();
            let text = serde_json::to_string(&told);
            say(text.expect("a state has only string keys"));
        }
        Format::Table => say(table(&all).trim_end()),
    }
    Ok(0)
}

fn table(all: &[Found]) -> String {
    let row = |found: &Found| {
        let told = told(found, "root");
        [
            told.id.to_owned(),
            told.pid.to_string(),
            told.status.name().to_owned(),
            told.bundle.display().to_string(),
            told.created.to_string(),
            told.owner.to_owned(),
        ]
    };
    let head = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(head).chain(all.iter().map(row)).collect();
    let width = |column: usize| {
        let longest = rows.iter().map(|r| r[column].len()).max().unwrap_or(0);
        (longest + 3).max(12)
    };
    let widths: Vec<usize> = (0..5).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        for (cell, width) in row.iter().zip(&widths) {
            text += &format!("{cell:<width$}");
        }
        text += &row[5];
        text.push('\n');
    }
    text
}

enum Format {
    Table,
    Json,
}

fn format(flags: &Flags) -> Result<Format> {
    match flags.value("format") {
        None | Some("table") => Ok(Format::Table),
        Some("json") => Ok(Format::Json),
        Some(_) => Err(Refusal::Usage("invalid format option".into())),
    }
}

pub fn ps(context: &Context, flags: &Flags) -> Result<u8> {
    let found = Found::look(&context.root, flags.id())?;
    let pids: Vec<i32> = found
        .group()?
        .processes()?
        .iter()
        .map(|p| p.as_raw())
        .collect();
    if let Format::Json = format(flags)? {
        let text = serde_json::to_string(&pids);
        say(text.expect("numbers are JSON"));
        return Ok(0);
    }
    let mut args = flags.args[1..].to_vec();
    if args.first().is_some_and(|a| a == "--") {
        args.remove(0);
    }
    if args.is_empty() {
        args.push("-ef".into());
    }
    let output = Command::new("ps").args(&args).output();
    let output = output.or_refuse(|| "run ps".into())?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Refusal::failed(
            format!("ps {}", args.join(" ")),
            said.trim(),
        ));
    }
    say(own_lines(&String::from_utf8_lossy(&output.stdout), &pids)?.trim_end());
    Ok(0)
}

/// The lines of ps that are about these processes, with the head.
fn own_lines(text: &str, pids: &[i32]) -> Result<String> {
    let mut lines = text.lines();
    let head = lines.next().unwrap_or_default();
    let column = head.split_whitespace().position(|word| word == "PID");
    let column = column.ok_or_else(|| Refusal::failed("ps", "its output has no column PID"))?;
    let is_own = |line: &&str| {
        let pid = line.split_whitespace().nth(column);
        pid.and_then(|p| p.parse().ok())
            .is_some_and(|p: i32| pids.contains(&p))
    };
    let own = std::iter::once(head).chain(lines.filter(is_own));
    Ok(own.fold(String::new(), |text, line| text + line + "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_containers_own_lines_are_shown() {
        let text = "UID PID CMD\nroot 1 init\nroot 42 sh\n";
        assert_eq!(own_lines(text, &[42]).unwrap(), "UID PID CMD\nroot 42 sh\n");
        assert!(own_lines("UID CMD\n", &[42]).is_err());
    }
}

//! docs/configuration.md lists what clap knows, and nothing else.

use std::fmt::Write as _;
use std::path::Path;

use super::{COMMANDS, flags};

const BEGIN: &str = "<!-- begin: made from the flags themselves -->\n";
const END: &str = "<!-- end -->\n";

/// Set, the page is written anew.
const WRITE: &str = "SKIFF_WRITE_DOCS";

#[test]
fn page_of_the_configuration_is_that_of_the_flags() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let wanted = format!("{before}{BEGIN}{}{END}{after}", tables());
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, wanted).unwrap();
        return;
    }
    assert!(
        page == wanted,
        "docs/configuration.md is not what the flags say any more; write it anew: \
         {WRITE}=1 cargo nextest run -p skiff page_of_the_configuration"
    );
}

/// What all three have in common, then what each has more.
fn tables() -> String {
    let mut skiff = crate::command_line();
    skiff.build();
    let of = |command: &str| -> Vec<String> {
        let flags = flags::of(&skiff, command);
        flags.into_iter().map(|flag| flag.name).collect()
    };
    let all = COMMANDS.map(of);
    let mut text = String::new();
    let mut shown: Vec<String> = Vec::new();
    for having in [&[0, 1, 2][..], &[0, 1], &[0, 2], &[0], &[1], &[2]] {
        let commands: Vec<&str> = having.iter().map(|n| COMMANDS[*n]).collect();
        let names = all[having[0]].iter();
        let names = names.filter(|name| having.iter().all(|n| all[*n].contains(name)));
        let names: Vec<String> = names.filter(|n| !shown.contains(n)).cloned().collect();
        if !names.is_empty() {
            let _ = write!(text, "\n## Flags of {}\n\n", commands.join(", "));
            text.push_str("| key | value | default | what it says |\n|---|---|---|---|\n");
            for name in &names {
                text.push_str(&row(&skiff, commands[0], name));
            }
        }
        shown.extend(names);
    }
    text.push('\n');
    text
}

fn row(skiff: &clap::Command, command: &str, name: &str) -> String {
    let command = skiff.find_subcommand(command).unwrap();
    let arg = command
        .get_arguments()
        .find(|arg| arg.get_long() == Some(name))
        .unwrap();
    let names = arg.get_value_names().unwrap_or_default();
    let value = match arg.get_action() {
        clap::ArgAction::Append => format!("list of {}", names.join(" ")),
        clap::ArgAction::Set => names.join(" "),
        _ => "BOOL".to_owned(),
    };
    let defaults = arg.get_default_values().iter();
    let default = defaults.map(|value| value.to_string_lossy());
    let default = default.collect::<Vec<_>>().join(",");
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let cells = [format!("`{name}`"), value, default, help];
    let cells = cells.map(|cell| cell.replace('|', "\\|").replace('\n', " "));
    format!("| {} |\n", cells.join(" | "))
}

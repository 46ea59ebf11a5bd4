//! Flags as Go's programs read them, for that is what runc's callers write.
//!
//! `--name value`, `--name=value` and the same with one dash; a flag without a
//! value may be given one (`--force=false`). Read by a table, in microseconds.

use std::str::FromStr;

use super::{Refusal, Result};

/// One flag that a command knows.
pub struct Flag {
    /// The first name is the one it is asked for by.
    pub names: &'static [&'static str],
    /// What its value is called; `None` for one that is there or not.
    pub value: Option<&'static str>,
    pub help: &'static str,
}

/// A flag that is there or not.
pub const fn switch(names: &'static [&'static str], help: &'static str) -> Flag {
    let value = None;
    Flag { names, value, help }
}

/// A flag with a value.
pub const fn value(
    names: &'static [&'static str],
    value: &'static str,
    help: &'static str,
) -> Flag {
    let value = Some(value);
    Flag { names, value, help }
}

/// Where flags may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Anywhere,
    /// All that follows the first argument belongs to somebody else.
    BeforeArguments,
}

/// What was given.
#[derive(Debug, Default)]
pub struct Flags {
    given: Vec<(&'static str, String)>,
    pub args: Vec<String>,
}

impl Flags {
    pub fn parse(known: &[Flag], args: Vec<String>, order: Order) -> Result<Self> {
        let mut flags = Self::default();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            if arg == "--" {
                break;
            }
            let is_flag = arg.len() > 1 && arg.starts_with('-');
            if !is_flag {
                flags.args.push(arg);
                if order == Order::BeforeArguments {
                    break;
                }
                continue;
            }
            flags.read(known, &arg, &mut args)?;
        }
        flags.args.extend(args);
        Ok(flags)
    }

    fn read(
        &mut self,
        known: &[Flag],
        arg: &str,
        args: &mut impl Iterator<Item = String>,
    ) -> Result<()> {
        let bare = arg.strip_prefix("--").or(arg.strip_prefix('-'));
        let bare = bare.unwrap_or(arg);
        let (name, attached) = match bare.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (bare, None),
        };
        let flag = known
            .iter()
            .find(|f| f.names.contains(&name))
            .ok_or_else(|| Refusal::Usage(format!("flag provided but not defined: -{name}")))?;
        let value = match (flag.value, attached) {
            (None, attached) => attached.unwrap_or_else(|| "true".into()),
            (Some(_), Some(attached)) => attached,
            (Some(_), None) => args
                .next()
                .ok_or_else(|| Refusal::Usage(format!("flag needs an argument: -{name}")))?,
        };
        self.given.push((flag.names[0], value));
        Ok(())
    }

    pub fn has(&self, name: &str) -> bool {
        self.value(name)
            .is_some_and(|v| !matches!(v, "false" | "0" | "f" | "F" | "FALSE" | "False"))
    }

    /// The last one given counts.
    pub fn value(&self, name: &str) -> Option<&str> {
        let mut given = self.given.iter().rev();
        given.find(|(n, _)| *n == name).map(|(_, v)| v.as_str())
    }

    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let given = self.given.iter().filter(move |(n, _)| *n == name);
        given.map(|(_, v)| v.as_str())
    }

    pub fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>> {
        let parse = |v: &str| {
            v.parse().map_err(|_| {
                Refusal::Usage(format!(
                    "invalid value {v:?} for flag -{name}: no such number"
                ))
            })
        };
        self.value(name).map(parse).transpose()
    }

    /// The container that the command is about: its first argument.
    pub fn id(&self) -> &str {
        self.args.first().map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Flag; 2] = [
        switch(&["force", "f"], "do it"),
        value(&["bundle", "b"], "dir", "where"),
    ];

    fn parse(args: &[&str], order: Order) -> Result<Flags> {
        Flags::parse(&KNOWN, args.iter().map(|&a| a.to_owned()).collect(), order)
    }

    #[test]
    fn one_dash_or_two_and_a_value_either_way() {
        for args in [
            ["--bundle", "/b"].as_slice(),
            &["-bundle", "/b"],
            &["--b=/b"],
            &["-b", "/b"],
        ] {
            let flags = parse(args, Order::Anywhere).unwrap();
            assert_eq!(flags.value("bundle"), Some("/b"), "{args:?}");
        }
    }

    #[test]
    fn a_switch_can_be_turned_off() {
        assert!(parse(&["-f"], Order::Anywhere).unwrap().has("force"));
        assert!(
            !parse(&["--force=false"], Order::Anywhere)
                .unwrap()
                .has("force")
        );
    }

    #[test]
    fn what_follows_the_arguments_of_exec_is_the_programs() {
        let flags = parse(&["-f", "id", "ls", "-b", "x"], Order::BeforeArguments).unwrap();
        assert_eq!(flags.args, ["id", "ls", "-b", "x"]);
        let flags = parse(&["id", "-f"], Order::Anywhere).unwrap();
        assert!(flags.has("force"));
        assert_eq!(flags.args, ["id"]);
    }

    #[test]
    fn an_unknown_flag_and_a_missing_value_are_refused() {
        assert!(parse(&["--nope"], Order::Anywhere).is_err());
        assert!(parse(&["--bundle"], Order::Anywhere).is_err());
    }
}

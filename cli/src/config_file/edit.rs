//! Changing settings in the file, with its comments left where they are.

use serde_yaml::{Mapping, Value};

/// A setting as it is to stand in the file.
#[derive(Clone, Debug)]
pub struct Setting {
    pub name: String,
    pub value: Value,
}

impl Setting {
    /// One value is written bare, several as a list.
    pub fn of(name: &str, mut values: Vec<String>, is_list: bool) -> Self {
        let value = if is_list {
            Value::Sequence(values.into_iter().map(scalar).collect())
        } else {
            scalar(values.pop().unwrap_or_default())
        };
        Self {
            name: name.to_owned(),
            value,
        }
    }
}

/// Numbers and truth values are written as people write them.
fn scalar(text: String) -> Value {
    match text.as_str() {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        other => match other.parse::<u64>() {
            Ok(number) if number.to_string() == other => Value::Number(number.into()),
            _ => Value::String(text),
        },
    }
}

/// The text with `settings` in the place of what it said of them.
///
/// Lines are edited where that gives what is wanted; a file that is written in
/// some other way (in braces, with quoted keys) is written anew, without its comments.
pub fn set(text: &str, settings: &[Setting]) -> Result<String, serde_yaml::Error> {
    let wanted = wanted(text, settings)?;
    let mut edited = text.to_owned();
    for setting in settings {
        let lines = serde_yaml::to_string(&Mapping::from_iter([pair(setting)]))?;
        edited = replaced(&edited, &setting.name, &lines);
    }
    let is_as_wanted = serde_yaml::from_str::<Mapping>(&edited).is_ok_and(|found| found == wanted);
    if is_as_wanted || wanted.is_empty() {
        return Ok(edited);
    }
    serde_yaml::to_string(&wanted)
}

fn wanted(text: &str, settings: &[Setting]) -> Result<Mapping, serde_yaml::Error> {
    let mut wanted: Option<Mapping> = serde_yaml::from_str(text)?;
    let mut wanted = wanted.take().unwrap_or_default();
    wanted.extend(settings.iter().map(pair));
    Ok(wanted)
}

fn pair(setting: &Setting) -> (Value, Value) {
    (setting.name.clone().into(), setting.value.clone())
}

/// Replaces the line that sets `name` and those that belong to it, or adds them at the end.
fn replaced(text: &str, name: &str, lines: &str) -> String {
    let begins = |line: &str| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.trim_start().starts_with(':'))
    };
    let goes_on = |line: &str| line.starts_with([' ', '\t', '-']);
    let all: Vec<&str> = text.lines().collect();
    let at = all.iter().position(|line| begins(line));
    let at = at.unwrap_or(all.len());
    let belonging = all.iter().skip(at + 1).take_while(|line| goes_on(line));
    let after = (at + 1 + belonging.count()).min(all.len());
    let mut edited = String::with_capacity(text.len() + lines.len());
    let parts = all[..at].iter().copied();
    for line in parts
        .chain(lines.lines())
        .chain(all[after..].iter().copied())
    {
        edited.push_str(line);
        edited.push('\n');
    }
    edited
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, value: &str) -> Setting {
        Setting::of(name, vec![value.into()], false)
    }

    #[test]
    fn a_line_is_replaced_where_it_stands_and_comments_stay() {
        let text = "# mine\nsecure-port: 6443 # the usual\n# more\nnode-name: a\n";
        let edited = set(text, &[one("secure-port", "7000"), one("max-pods", "5")]).unwrap();
        assert_eq!(
            edited,
            "# mine\nsecure-port: 7000\n# more\nnode-name: a\nmax-pods: 5\n"
        );
    }

    #[test]
    fn lists_are_replaced_whole() {
        let many = Setting::of("api-audiences", vec!["c".into(), "7".into()], true);
        for text in [
            "api-audiences:\n- a\n- b\nx: 1\n",
            "api-audiences:\n  - a\n  - b\nx: 1\n",
        ] {
            let edited = set(text, std::slice::from_ref(&many)).unwrap();
            assert_eq!(edited, "api-audiences:\n- c\n- 7\nx: 1\n");
        }
    }

    #[test]
    fn a_file_in_another_style_is_written_anew() {
        let edited = set(
            "{secure-port: 1, \"node-name\": a}",
            &[one("node-name", "b")],
        )
        .unwrap();
        assert_eq!(edited, "secure-port: 1\nnode-name: b\n");
    }

    #[test]
    fn values_keep_their_meaning() {
        let edited = set("", &[one("node-name", "0123"), one("eviction-hard", "")]).unwrap();
        assert_eq!(edited, "node-name: '0123'\neviction-hard: ''\n");
        assert_eq!(set("# none\n", &[]).unwrap(), "# none\n");
    }
}

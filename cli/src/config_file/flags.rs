//! What a command's flags are, as clap knows them.

use clap::ArgAction;

/// A flag that the file may set.
#[derive(Clone, Debug)]
pub struct Flag {
    pub name: String,
    pub takes: Takes,
    /// Its value must not be shown.
    pub is_secret: bool,
    environment: Option<String>,
}

/// How many values a flag has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// None: it is there or not.
    Nothing,
    One,
    Many,
}

/// Flags that say where the others come from, or what clap makes.
const NOT_IN_FILE: [&str; 3] = ["config", "help", "version"];

/// The flags of `skiff COMMAND` that its file may set, in the order of its help.
pub fn of(skiff: &clap::Command, command: &str) -> Vec<Flag> {
    let command = skiff.find_subcommand(command);
    let args = command.into_iter().flat_map(clap::Command::get_arguments);
    args.filter_map(flag).collect()
}

fn flag(arg: &clap::Arg) -> Option<Flag> {
    let name = arg.get_long()?.to_owned();
    if NOT_IN_FILE.contains(&name.as_str()) {
        return None;
    }
    let takes = match arg.get_action() {
        ArgAction::Set => Takes::One,
        ArgAction::Append => Takes::Many,
        _ => Takes::Nothing,
    };
    Some(Flag {
        name,
        takes,
        is_secret: arg.is_hide_env_values_set(),
        environment: arg
            .get_env()
            .map(|name| name.to_string_lossy().into_owned()),
    })
}

impl Flag {
    /// One of its values, as a word of a command line.
    pub fn argument(&self, value: &str) -> String {
        match self.takes {
            Takes::Nothing => format!("--{}", self.name),
            Takes::One | Takes::Many => format!("--{}={value}", self.name),
        }
    }

    pub fn is_in_environment(&self) -> bool {
        let name = self.environment.as_deref();
        name.is_some_and(|name| std::env::var_os(name).is_some())
    }
}

/// The known name that is most like `name`, if one is like it at all.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let rated = known.map(|known| (strsim::jaro_winkler(name, known), known));
    let best = rated.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > 0.8).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_is_like_the_name_or_nothing() {
        let known = ["secure-port", "node-name", "max-pods"];
        let nearest = |name| nearest(name, known.into_iter());
        assert_eq!(nearest("secure_port"), Some("secure-port"));
        assert_eq!(nearest("securePort"), Some("secure-port"));
        assert_eq!(nearest("nodename"), Some("node-name"));
        assert_eq!(nearest("zzz"), None);
    }

    #[test]
    fn tokens_are_secrets_and_lists_take_many() {
        let flags = of(&crate::command_line(), "agent");
        let token = flags.iter().find(|flag| flag.name == "token").unwrap();
        assert!(token.is_secret);
        let flags = of(&crate::command_line(), "server");
        let list = flags.iter().find(|flag| flag.name == "api-audiences");
        assert_eq!(list.unwrap().takes, Takes::Many);
        assert!(flags.iter().all(|flag| flag.name != "config"));
    }
}

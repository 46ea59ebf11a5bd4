//! `KEY=VALUE` and `KEY-`: what `label` and `annotate` do to a map of an object's metadata.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{bail, ensure};
use clap::Args;
use serde_json::{Map, Value, json};

use super::chosen::{Chosen, Found};
use crate::client::ClientFlags;
use crate::cluster::{Cluster, MERGE_PATCH, full_name, text};
use crate::print;

/// The flags of both commands.
#[derive(Args)]
pub struct KeyValues {
    #[command(flatten)]
    client: ClientFlags,

    /// TYPE NAME... or TYPE/NAME..., then KEY=VALUE to set and KEY- to remove
    #[arg(required = true, value_name = "TYPE NAME KEY=VALUE")]
    words: Vec<String>,

    #[command(flatten)]
    chosen: Chosen,

    /// Change what has another value already
    #[arg(long)]
    overwrite: bool,

    /// Show what they have
    #[arg(long)]
    list: bool,

    /// Only if the object is still of this version
    #[arg(long, value_name = "VERSION")]
    resource_version: Option<String>,

    /// Only say what would be done
    #[arg(long, value_name = "client|server", num_args = 0..=1, default_missing_value = "client")]
    dry_run: Option<DryRun>,
}

/// How not to do it.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DryRun {
    /// Ask nobody
    Client,
    /// Let the server check it
    Server,
    /// Do it
    None,
}

impl DryRun {
    pub fn note(dry_run: Option<Self>) -> &'static str {
        match dry_run {
            Some(Self::Client) => " (dry run)",
            Some(Self::Server) => " (server dry run)",
            Some(Self::None) | None => "",
        }
    }

    pub fn query(dry_run: Option<Self>) -> &'static str {
        match dry_run {
            Some(Self::Server) => "?dryRun=All",
            _ => "",
        }
    }
}

/// Which map it is about, and its words.
pub struct Metadata {
    /// `labels` or `annotations`.
    pub field: &'static str,
    pub check: fn(key: &str, value: &str) -> anyhow::Result<()>,
    /// What is said of an object: what it had, what it has now.
    pub said: fn(before: &Entries, after: &Entries, overwrite: bool) -> &'static str,
    /// What is said of keys that have another value already.
    pub refused: fn(taken: &[(String, String)]) -> String,
}

pub type Entries = BTreeMap<String, String>;

/// What to do: a value to set, or `None` to remove the key.
type Changes = BTreeMap<String, Option<String>>;

impl KeyValues {
    pub async fn run(self, map: &Metadata) -> anyhow::Result<ExitCode> {
        let (what, changes) = split(&self.words, map)?;
        ensure!(
            self.list || !changes.is_empty(),
            "at least one {} update is required",
            map.field.trim_end_matches('s')
        );
        let cluster = Cluster::connect(&self.client).await?;
        let found = self.chosen.find(&cluster, &what).await?;
        ensure!(
            self.resource_version.is_none() || found.len() == 1,
            "--resource-version may only be used with a single resource"
        );
        let mut errors = Vec::new();
        for found in &found {
            if let Err(error) = self.change(&cluster, map, found, &changes).await {
                errors.push(error);
            }
        }
        Ok(super::finish(&errors))
    }

    async fn change(
        &self,
        cluster: &Cluster,
        map: &Metadata,
        found: &Found,
        changes: &Changes,
    ) -> anyhow::Result<()> {
        let object = cluster.get(&found.path).await?;
        let before = entries(&object, map.field);
        let after = self.after(map, &before, changes)?;
        for key in changes
            .iter()
            .filter(|(key, value)| value.is_none() && !before.contains_key(*key))
        {
            print::out(&format!(
                "{} {:?} not found.\n",
                map.field.trim_end_matches('s'),
                key.0
            ));
        }
        if after != before && self.dry_run != Some(DryRun::Client) {
            let path = format!("{}{}", found.path, DryRun::query(self.dry_run));
            let patch = self.patch(map, &object, changes);
            cluster.patch(&path, MERGE_PATCH, &patch).await?;
        }
        if self.list {
            let lines = after.iter().map(|(key, value)| format!("{key}={value}\n"));
            print::out(&lines.collect::<String>());
        }
        if !changes.is_empty() {
            let name = full_name(&found.resource, &found.name);
            let said = (map.said)(&before, &after, self.overwrite);
            print::out(&format!("{name} {said}{}\n", DryRun::note(self.dry_run)));
        }
        Ok(())
    }

    fn after(
        &self,
        map: &Metadata,
        before: &Entries,
        changes: &Changes,
    ) -> anyhow::Result<Entries> {
        let mut after = before.clone();
        let mut taken = Vec::new();
        for (key, value) in changes {
            let Some(value) = value else {
                after.remove(key);
                continue;
            };
            match before.get(key) {
                Some(current) if current != value && !self.overwrite => {
                    taken.push((key.clone(), current.clone()));
                }
                _ => drop(after.insert(key.clone(), value.clone())),
            }
        }
        ensure!(taken.is_empty(), "{}", (map.refused)(&taken));
        Ok(after)
    }

    /// With the version asked for, so that nobody's change in between is lost to it.
    fn patch(&self, map: &Metadata, object: &Value, changes: &Changes) -> Value {
        let mut fields = Map::new();
        fields.insert(map.field.to_owned(), json!(changes));
        let version = match &self.resource_version {
            Some(version) => Some(version.as_str()),
            // Whether a key is taken was looked up in this very object.
            None if !self.overwrite => Some(text(object, "/metadata/resourceVersion")),
            None => None,
        };
        if let Some(version) = version {
            fields.insert("resourceVersion".to_owned(), json!(version));
        }
        json!({ "metadata": fields })
    }
}

fn entries(object: &Value, field: &str) -> Entries {
    let map = object["metadata"][field].as_object();
    let pair = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    map.into_iter().flatten().filter_map(pair).collect()
}

/// Tells resources from changes: those come first.
fn split(words: &[String], map: &Metadata) -> anyhow::Result<(Vec<String>, Changes)> {
    let is_change = |word: &String| word.ends_with('-') || word.find('=').is_some_and(|at| at > 0);
    let at = words.iter().position(is_change).unwrap_or(words.len());
    let (what, changes) = words.split_at(at);
    if let Some(late) = changes.iter().find(|word| !is_change(word)) {
        let thing = map.field.trim_end_matches('s');
        bail!("all resources must be specified before {thing} changes: {late}");
    }
    Ok((what.to_vec(), parse(changes, map)?))
}

fn parse(words: &[String], map: &Metadata) -> anyhow::Result<Changes> {
    let mut changes = Changes::new();
    for word in words {
        let (key, value) = match word.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (word.trim_end_matches('-'), None),
        };
        (map.check)(key, value.unwrap_or_default())?;
        let value = value.map(str::to_owned);
        if let Some(other) = changes.insert(key.to_owned(), value.clone())
            && other.is_some() != value.is_some()
        {
            let thing = map.field.trim_end_matches('s');
            bail!("can not both modify and remove a {thing} in the same command");
        }
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Metadata = Metadata {
        field: "labels",
        check: |_, _| Ok(()),
        said: |_, _, _| "labeled",
        refused: |taken| format!("{taken:?}"),
    };

    fn of(words: &[&str]) -> anyhow::Result<(Vec<String>, Changes)> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        split(&words, &ANY)
    }

    #[test]
    fn resources_come_before_changes() {
        let (what, changes) = of(&["pod", "web", "a=b", "c-", "d="]).unwrap();
        assert_eq!(what, ["pod", "web"]);
        let expected = [("a", Some("b")), ("c", None), ("d", Some(""))];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.map(str::to_owned)));
        assert_eq!(changes, Changes::from(expected));
        assert!(of(&["pod", "a=b", "web"]).is_err());
    }

    #[test]
    fn a_key_is_set_or_removed_and_not_both() {
        let both = of(&["pod", "web", "a=b", "a-"]).unwrap_err().to_string();
        assert_eq!(
            both,
            "can not both modify and remove a label in the same command"
        );
    }
}

//! What the words of `skiff taint` say, and what becomes of a node's taints by them.

use anyhow::{anyhow, bail, ensure};
use apimachinery::names;
use serde::{Deserialize, Serialize};

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Taint {
    pub key: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// Empty where a command means all effects.
    pub effect: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_added: Option<String>,
}

/// Taints to set and taints to remove.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    set: Vec<Taint>,
    remove: Vec<Taint>,
}

impl Taint {
    fn parse(spec: &str) -> anyhow::Result<Self> {
        let invalid = || anyhow!("invalid taint spec: {spec}");
        let parts: Vec<&str> = spec.split(':').collect();
        let (name, effect) = match parts.as_slice() {
            [name] => (*name, ""),
            [name, effect] => {
                ensure!(
                    EFFECTS.contains(effect),
                    "invalid taint effect: {effect}, unsupported taint effect"
                );
                (*name, *effect)
            }
            _ => return Err(invalid()),
        };
        let (key, value) = match name.split('=').collect::<Vec<_>>().as_slice() {
            [key] => (*key, ""),
            [key, value] if !effect.is_empty() => (*key, *value),
            _ => return Err(invalid()),
        };
        let mut problems = names::label_value(value);
        problems.extend(names::qualified(key));
        ensure!(
            problems.is_empty(),
            "invalid taint spec: {spec}, {}",
            problems.join("; ")
        );
        Ok(Self {
            key: key.to_owned(),
            value: value.to_owned(),
            effect: effect.to_owned(),
            time_added: None,
        })
    }

    fn is_like(&self, other: &Self) -> bool {
        self.key == other.key && self.effect == other.effect
    }

    fn is_meant_by(&self, removed: &Self) -> bool {
        self.key == removed.key && (removed.effect.is_empty() || self.effect == removed.effect)
    }

    /// As kubectl writes it.
    fn words(&self) -> String {
        match (self.effect.as_str(), self.value.as_str()) {
            ("", "") => self.key.clone(),
            ("", value) => format!("{}={value}:", self.key),
            (effect, "") => format!("{}:{effect}", self.key),
            (effect, value) => format!("{}={value}:{effect}", self.key),
        }
    }
}

impl Changes {
    pub fn parse(specs: &[String]) -> anyhow::Result<Self> {
        let mut changes = Self::default();
        for spec in specs {
            if let Some(spec) = spec.strip_suffix('-') {
                changes.remove.push(Taint::parse(spec)?);
                continue;
            }
            let taint = Taint::parse(spec)?;
            ensure!(!taint.effect.is_empty(), "invalid taint spec: {spec}");
            ensure!(
                !changes.set.iter().any(|other| other.is_like(&taint)),
                "duplicated taints with the same key and effect: {}",
                taint.words()
            );
            changes.set.push(taint);
        }
        Ok(changes)
    }

    /// The keys of those that the node has already.
    pub fn taken(&self, before: &[Taint]) -> Vec<String> {
        let is_there = |taint: &&Taint| before.iter().any(|other| other.is_like(taint));
        let taken = self.set.iter().filter(is_there);
        taken.map(|taint| taint.key.clone()).collect()
    }

    /// What the node has then, and what that is called.
    pub fn apply(
        &self,
        before: &[Taint],
        overwrite: bool,
    ) -> anyhow::Result<(Vec<Taint>, &'static str)> {
        let mut after = self.set.clone();
        let kept = before
            .iter()
            .filter(|old| !self.set.iter().any(|new| new.is_like(old)));
        after.extend(kept.cloned());
        let added = after.len() != before.len();
        for removed in &self.remove {
            let count = after.len();
            after.retain(|taint| !taint.is_meant_by(removed));
            if after.len() == count {
                bail!("taint {:?} not found", removed.words());
            }
        }
        let said = match (added, !self.remove.is_empty()) {
            (true, true) => "modified",
            _ if overwrite => "modified",
            (true, false) => "tainted",
            (false, _) => "untainted",
        };
        Ok((after, said))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(specs: &[&str]) -> anyhow::Result<Changes> {
        let specs: Vec<String> = specs.iter().map(|spec| (*spec).to_owned()).collect();
        Changes::parse(&specs)
    }

    fn after(before: &[&str], specs: &[&str]) -> (Vec<String>, &'static str) {
        let before: Vec<Taint> = before.iter().map(|t| Taint::parse(t).unwrap()).collect();
        let (after, said) = changes(specs).unwrap().apply(&before, false).unwrap();
        (after.iter().map(Taint::words).collect(), said)
    }

    #[test]
    fn taints_are_set_and_removed_by_key_and_effect() {
        let (found, said) = after(&["a=1:NoSchedule"], &["b=2:NoExecute"]);
        assert_eq!(
            (found.join(" "), said),
            ("b=2:NoExecute a=1:NoSchedule".into(), "tainted")
        );
        let both = ["a=1:NoSchedule", "a:NoExecute", "b:NoExecute"];
        assert_eq!(
            after(&both, &["a-"]),
            (vec!["b:NoExecute".into()], "untainted")
        );
        let (found, _) = after(&both, &["a:NoExecute-"]);
        assert_eq!(found, ["a=1:NoSchedule", "b:NoExecute"]);
        assert_eq!(after(&both, &["c:NoSchedule", "b-"]).1, "modified");
    }

    #[test]
    fn a_taint_that_is_there_is_told_and_one_that_is_not_cannot_be_removed() {
        let there = [Taint::parse("a=1:NoSchedule").unwrap()];
        assert_eq!(changes(&["a=2:NoSchedule"]).unwrap().taken(&there), ["a"]);
        assert!(
            changes(&["a=2:NoExecute"])
                .unwrap()
                .taken(&there)
                .is_empty()
        );
        let missing = changes(&["b:NoSchedule-"]).unwrap().apply(&there, false);
        assert_eq!(
            missing.unwrap_err().to_string(),
            "taint \"b:NoSchedule\" not found"
        );
    }

    #[test]
    fn what_is_no_taint_is_refused() {
        for spec in [
            "a",
            "a=1",
            "a=b=c:NoSchedule",
            "a:b:NoSchedule",
            "=x:NoSchedule",
            "a=b-",
        ] {
            let refused = changes(&[spec]).unwrap_err().to_string();
            assert!(
                refused.starts_with("invalid taint spec: "),
                "{spec}: {refused}"
            );
        }
        let effect = changes(&["a:Never"]).unwrap_err().to_string();
        assert_eq!(
            effect,
            "invalid taint effect: Never, unsupported taint effect"
        );
        assert!(changes(&["a:NoSchedule", "a=1:NoSchedule"]).is_err());
    }
}

//! Which objects a command is about: `TYPE NAME...`, `TYPE/NAME...`,
//! `TYPE,TYPE`, a category, a selector.

use anyhow::bail;

use super::{Cluster, Resource};

/// One object, or all objects of a kind.
#[derive(Debug, Clone)]
pub struct Target {
    pub resource: Resource,
    pub name: Option<String>,
}

impl Cluster {
    /// What the words of a command line mean.
    pub fn targets(&self, words: &[String]) -> anyhow::Result<Vec<Target>> {
        if words.is_empty() {
            bail!(
                "you must specify the type of resource, such as pods, or TYPE/NAME; \
                 `skiff api-resources` lists the types"
            );
        }
        if words.iter().any(|word| word.contains('/')) {
            return words.iter().map(|word| self.slashed(word)).collect();
        }
        let resources = self.resources_called(&words[0])?;
        let names = &words[1..];
        if names.is_empty() {
            let all = |resource| Target {
                resource,
                name: None,
            };
            return Ok(resources.into_iter().map(all).collect());
        }
        let mut targets = Vec::new();
        for resource in &resources {
            targets.extend(names.iter().map(|name| Target {
                resource: resource.clone(),
                name: Some(name.clone()),
            }));
        }
        Ok(targets)
    }

    /// The only object that the words mean.
    pub fn target(&self, words: &[String]) -> anyhow::Result<(Resource, String)> {
        match self.targets(words)?.as_slice() {
            [
                Target {
                    resource,
                    name: Some(name),
                },
            ] => Ok((resource.clone(), name.clone())),
            [Target { name: None, .. }] => bail!("resource name may not be empty; give TYPE/NAME"),
            _ => bail!("give one object, as TYPE/NAME"),
        }
    }

    /// All there is, in the server's order.
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// The resource that a word such as `po` means.
    pub fn resource(&self, word: &str) -> anyhow::Result<Resource> {
        let mut called = self.resources.iter().filter(|r| r.is_called(word));
        let found = called
            .clone()
            .find(|r| r.is_preferred)
            .or_else(|| called.next());
        match found {
            Some(resource) => Ok(resource.clone()),
            None => bail!(
                "the server doesn't have a resource type \"{word}\"; \
                 `skiff api-resources` lists those it has"
            ),
        }
    }

    fn slashed(&self, word: &str) -> anyhow::Result<Target> {
        match word.split_once('/') {
            Some((kind, name)) if !kind.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Target {
                    resource: self.resource(kind)?,
                    name: Some(name.to_owned()),
                })
            }
            _ => bail!("{word:?} is not TYPE/NAME; give TYPE/NAME throughout, or TYPE NAME..."),
        }
    }

    fn resources_called(&self, words: &str) -> anyhow::Result<Vec<Resource>> {
        let mut resources = Vec::new();
        for word in words.split(',') {
            let in_category = |r: &&Resource| {
                r.is_preferred
                    && r.categories.iter().any(|c| c == word)
                    && r.verbs.iter().any(|v| v == "list")
            };
            let members: Vec<_> = self.resources.iter().filter(in_category).cloned().collect();
            if members.is_empty() {
                resources.push(self.resource(word)?);
            } else {
                resources.extend(members);
            }
        }
        Ok(resources)
    }
}

//! Which providers a key in the store goes through.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::{Config, Selector};
use crate::seal::Providers;

const ROOT: &[u8] = b"/registry/";

/// A kind of object and where it lies: below `/registry/<prefix>/`.
#[derive(Debug, Clone)]
pub struct Resource {
    pub group: String,
    pub plural: String,
    pub prefix: String,
}

pub struct Rules {
    config: Config,
    /// By the first segment after the root; None: stored as it is.
    built_in: HashMap<Vec<u8>, Option<Arc<Providers>>>,
}

impl Rules {
    pub fn new(config: Config, resources: &[Resource]) -> Self {
        let built_in = resources.iter().map(|resource| {
            let found = find(&config, &resource.group, &resource.plural);
            (resource.prefix.clone().into_bytes(), found.cloned())
        });
        Self {
            built_in: built_in.collect(),
            config,
        }
    }

    /// Whether all below `prefix` is of one kind that is stored as it is.
    pub fn leave_alone(&self, prefix: &[u8]) -> bool {
        let rest = prefix.strip_prefix(ROOT).unwrap_or_default();
        let first = rest.split(|byte| *byte == b'/').next().unwrap_or_default();
        first.len() < rest.len() && matches!(self.built_in.get(first), Some(None))
    }

    /// The providers of what lies at `key` or, for a prefix that ends within one
    /// kind, of all that lies below.
    pub fn of(&self, key: &[u8]) -> Option<&Arc<Providers>> {
        let rest = key.strip_prefix(ROOT)?;
        let mut segments = rest.split(|byte| *byte == b'/');
        let first = segments.next()?;
        if let Some(known) = self.built_in.get(first) {
            return known.as_ref();
        }
        // Custom resources lie at /registry/<group>/<plural>/.
        let group = std::str::from_utf8(first)
            .ok()
            .filter(|g| g.contains('.'))?;
        let plural = std::str::from_utf8(segments.next()?).ok()?;
        find(&self.config, group, plural)
    }
}

fn find<'a>(config: &'a Config, group: &str, plural: &str) -> Option<&'a Arc<Providers>> {
    let rules = config.rules.iter();
    let fits = |selector: &Selector| selector.covers(group, plural);
    rules
        .filter(|rule| rule.selectors.iter().any(fits))
        .map(|rule| &rule.providers)
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Rules {
        let resource = |group: &str, plural: &str| Resource {
            group: group.into(),
            plural: plural.into(),
            prefix: plural.into(),
        };
        let config = Config::parse(text).unwrap();
        Rules::new(
            config,
            &[
                resource("", "secrets"),
                resource("", "pods"),
                resource("apps", "deployments"),
            ],
        )
    }

    fn with(resources: &str) -> Rules {
        rules(&format!(
            "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: {resources}\n  providers:\n  - identity: {{}}\n"
        ))
    }

    #[test]
    fn a_resource_by_name_and_no_other_is_found() {
        let rules = with("[secrets, widgets.example.com]");
        assert!(rules.of(b"/registry/secrets/g/s").is_some());
        assert!(rules.of(b"/registry/secrets/").is_some());
        assert!(rules.of(b"/registry/pods/g/p").is_none());
        assert!(rules.of(b"/registry/example.com/widgets/g/w").is_some());
        assert!(rules.of(b"/registry/example.com/gadgets/g/w").is_none());
        assert!(rules.of(b"/other/secrets/g/s").is_none());
    }

    #[test]
    fn wildcards_cover_a_group_the_core_group_or_all() {
        let apps = with("['*.apps']");
        assert!(apps.of(b"/registry/deployments/g/d").is_some());
        assert!(apps.of(b"/registry/pods/g/p").is_none());
        let core = with("['*.']");
        assert!(core.of(b"/registry/pods/g/p").is_some());
        assert!(core.of(b"/registry/deployments/g/d").is_none());
        let all = with("['*.*']");
        assert!(all.of(b"/registry/pods/g/p").is_some());
        assert!(all.of(b"/registry/example.com/widgets/g/w").is_some());
    }
}

//! Which requests are told, and how much of them: the first rule that fits.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Error;
use crate::route::{Resource, Route, Target};
use crate::user::User;

/// How much of a request is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    None,
    /// Who, what, when and how it ended.
    Metadata,
    /// And the request's body.
    Request,
    /// And the response's.
    RequestResponse,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    RequestReceived,
    /// The headers of a response went out that goes on for long.
    ResponseStarted,
    ResponseComplete,
    Panic,
}

/// What the policy says of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub level: Level,
    pub omit_stages: Vec<Stage>,
    pub omit_managed_fields: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Policy {
    api_version: String,
    kind: String,
    #[serde(default)]
    #[expect(dead_code, reason = "a Policy may have a name; nobody asks for it")]
    metadata: serde_yaml::Value,
    #[serde(default)]
    rules: Vec<Rule>,
    #[serde(default)]
    omit_stages: Vec<Stage>,
    #[serde(default)]
    omit_managed_fields: bool,
}

/// Fields that are empty fit everything.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Rule {
    level: Level,
    #[serde(default)]
    users: Vec<String>,
    #[serde(default)]
    user_groups: Vec<String>,
    #[serde(default)]
    verbs: Vec<String>,
    #[serde(default)]
    resources: Vec<Resources>,
    #[serde(default)]
    namespaces: Vec<String>,
    #[serde(default, rename = "nonResourceURLs")]
    paths: Vec<String>,
    #[serde(default)]
    omit_stages: Vec<Stage>,
    omit_managed_fields: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Resources {
    #[serde(default)]
    group: String,
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default)]
    resource_names: Vec<String>,
}

impl Policy {
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read {
            path: path.into(),
            source,
        })?;
        let policy: Self = serde_yaml::from_str(&text).map_err(|source| Error::Parse {
            path: path.into(),
            source,
        })?;
        policy.check().map_err(|(field, why)| Error::Invalid {
            path: path.into(),
            field,
            why,
        })?;
        Ok(policy)
    }

    fn check(&self) -> Result<(), (String, &'static str)> {
        if self.kind != "Policy" {
            return Err(("kind".into(), "must be Policy"));
        }
        if self.api_version != "audit.k8s.io/v1" {
            return Err(("apiVersion".into(), "must be audit.k8s.io/v1"));
        }
        if self.rules.is_empty() {
            return Err(("rules".into(), "a policy has at least one rule"));
        }
        for (at, rule) in self.rules.iter().enumerate() {
            let checked = rule.check();
            checked.map_err(|(field, why)| (format!("rules[{at}].{field}"), why))?;
        }
        Ok(())
    }

    pub fn verdict(&self, route: &Route, user: Option<&User>) -> Verdict {
        let fitting = self.rules.iter().find(|rule| rule.fits(route, user));
        let Some(rule) = fitting else {
            return Verdict {
                level: Level::None,
                omit_stages: Vec::new(),
                omit_managed_fields: false,
            };
        };
        let stages = self.omit_stages.iter().chain(&rule.omit_stages);
        Verdict {
            level: rule.level,
            omit_stages: stages.copied().collect(),
            omit_managed_fields: rule.omit_managed_fields.unwrap_or(self.omit_managed_fields),
        }
    }
}

impl Rule {
    fn check(&self) -> Result<(), (String, &'static str)> {
        let of_resources = !self.resources.is_empty() || !self.namespaces.is_empty();
        if of_resources && !self.paths.is_empty() {
            let why = "rules cannot apply to both regular resources and non-resource URLs";
            return Err(("nonResourceURLs".into(), why));
        }
        for (at, path) in self.paths.iter().enumerate() {
            let inner = path.strip_suffix('*').unwrap_or(path);
            let fits = path == "*" || path.starts_with('/') && !inner.contains('*');
            if !fits {
                let why = "must be * or begin with /, with a wildcard at its end only";
                return Err((format!("nonResourceURLs[{at}]"), why));
            }
        }
        for (at, resources) in self.resources.iter().enumerate() {
            if !resources.resource_names.is_empty() && resources.resources.is_empty() {
                let why = "using resourceNames requires at least one resource";
                return Err((format!("resources[{at}].resourceNames"), why));
            }
            if resources.group.contains('/') {
                let why = "must be a group without a version";
                return Err((format!("resources[{at}].group"), why));
            }
        }
        Ok(())
    }

    fn fits(&self, route: &Route, user: Option<&User>) -> bool {
        let is_user =
            self.users.is_empty() || user.is_some_and(|user| self.users.contains(&user.name));
        let is_member = self.user_groups.is_empty()
            || user.is_some_and(|user| self.user_groups.iter().any(|group| user.is_in(group)));
        let verb = super::event::verb(route);
        let is_verb = self.verbs.is_empty() || self.verbs.iter().any(|one| one == verb);
        is_user && is_member && is_verb && self.fits_target(route)
    }

    fn fits_target(&self, route: &Route) -> bool {
        let of_resources = !self.resources.is_empty() || !self.namespaces.is_empty();
        match &route.target {
            Target::Resource(resource) if of_resources => self.fits_resource(resource),
            Target::Path if !self.paths.is_empty() => self
                .paths
                .iter()
                .any(|pattern| covers(pattern, &route.path)),
            _ => !of_resources && self.paths.is_empty(),
        }
    }

    fn fits_resource(&self, asked: &Resource) -> bool {
        let namespace = asked.namespace.as_deref().unwrap_or("");
        let in_namespace =
            self.namespaces.is_empty() || self.namespaces.iter().any(|one| one == namespace);
        let is_listed =
            self.resources.is_empty() || self.resources.iter().any(|list| list.covers(asked));
        in_namespace && is_listed
    }
}

impl Resources {
    fn covers(&self, asked: &Resource) -> bool {
        if self.group != asked.group {
            return false;
        }
        let name = asked.name.as_deref().unwrap_or("");
        let is_named =
            self.resource_names.is_empty() || self.resource_names.iter().any(|one| one == name);
        let sub = asked.subresource.as_deref().unwrap_or("");
        let fits = |pattern: &String| match pattern.split_once('/') {
            None => pattern == "*" || sub.is_empty() && *pattern == asked.resource,
            Some(("*", "*")) => !sub.is_empty(),
            Some(("*", part)) => part == sub,
            Some((resource, "*")) => resource == asked.resource,
            Some((resource, part)) => resource == asked.resource && part == sub,
        };
        self.resources.is_empty() || is_named && self.resources.iter().any(fits)
    }
}

fn covers(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => path.starts_with(start),
        None => pattern == path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Query;
    use http::Method;

    fn policy(rules: &str) -> Policy {
        let text = format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n{rules}");
        let policy: Policy = serde_yaml::from_str(&text).unwrap();
        policy.check().unwrap();
        policy
    }

    fn level(policy: &Policy, method: Method, path: &str) -> Level {
        let user = User::new("ann", ["dev".to_owned()]);
        let route = Route::parse(&method, path, &Query::default());
        policy.verdict(&route, Some(&user)).level
    }

    #[test]
    fn the_first_rule_that_fits_decides_and_none_is_none() {
        let policy = policy(
            "- level: None\n  users: [bob]\n- level: Metadata\n  resources: [{group: '', resources: [secrets]}]\n- level: Request\n  userGroups: [dev]\n  verbs: [create]\n",
        );
        let secrets = "/api/v1/namespaces/g/secrets";
        assert_eq!(level(&policy, Method::POST, secrets), Level::Metadata);
        let pods = "/api/v1/namespaces/g/pods";
        assert_eq!(level(&policy, Method::POST, pods), Level::Request);
        assert_eq!(level(&policy, Method::GET, pods), Level::None);
    }

    #[test]
    fn a_resource_does_not_fit_its_subresources_unless_it_says_so() {
        let path = "/api/v1/namespaces/g/pods/p/log";
        for (pattern, fits) in [
            ("pods", false),
            ("pods/log", true),
            ("pods/*", true),
            ("'*/log'", true),
            ("'*'", true),
            ("pods/status", false),
        ] {
            let rule = format!(
                "- level: Metadata\n  resources: [{{group: '', resources: [{pattern}]}}]\n"
            );
            let found = level(&policy(&rule), Method::GET, path);
            assert_eq!(found == Level::Metadata, fits, "{pattern}");
        }
    }

    #[test]
    fn names_namespaces_and_paths_narrow_a_rule() {
        let named = policy(
            "- level: Metadata\n  namespaces: [g]\n  resources: [{group: '', resources: [configmaps], resourceNames: [a]}]\n",
        );
        let at = |path: &str| level(&named, Method::GET, path);
        assert_eq!(at("/api/v1/namespaces/g/configmaps/a"), Level::Metadata);
        assert_eq!(at("/api/v1/namespaces/g/configmaps/b"), Level::None);
        assert_eq!(at("/api/v1/namespaces/h/configmaps/a"), Level::None);
        let paths = policy("- level: Metadata\n  nonResourceURLs: ['/healthz*', /version]\n");
        let at = |path: &str| level(&paths, Method::GET, path);
        assert_eq!(at("/healthz/ping"), Level::Metadata);
        assert_eq!(at("/version"), Level::Metadata);
        assert_eq!(at("/metrics"), Level::None);
        assert_eq!(at("/api/v1/pods"), Level::None);
    }

    #[test]
    fn a_rule_is_of_resources_or_of_paths() {
        let text = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n  namespaces: [g]\n  nonResourceURLs: [/x]\n";
        let policy: Policy = serde_yaml::from_str(text).unwrap();
        assert_eq!(policy.check().unwrap_err().0, "rules[0].nonResourceURLs");
    }

    #[test]
    fn a_rules_managed_fields_override_the_policys() {
        let text = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitManagedFields: true\nomitStages: [RequestReceived]\nrules:\n- level: Request\n  verbs: [get]\n  omitManagedFields: false\n  omitStages: [Panic]\n- level: Request\n";
        let policy: Policy = serde_yaml::from_str(text).unwrap();
        let of =
            |method| policy.verdict(&Route::parse(&method, "/version", &Query::default()), None);
        assert!(!of(Method::GET).omit_managed_fields);
        assert_eq!(
            of(Method::GET).omit_stages,
            [Stage::RequestReceived, Stage::Panic]
        );
        assert!(of(Method::POST).omit_managed_fields);
    }
}

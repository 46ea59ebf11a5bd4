//! Roles and bindings, held in memory and indexed by who they are for.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

use super::rules::Rule;
use super::{Action, Attributes};
use crate::mirror::{self, Follower, Source};
use crate::user::{SERVICE_ACCOUNT_PREFIX, User};

/// All RBAC objects, followed from the store.
#[derive(Default)]
pub struct Rbac {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    /// `<name>` for cluster roles, `<namespace>/<name>` for roles.
    roles: HashMap<String, Arc<[Rule]>>,
    bindings: HashMap<String, Binding>,
    /// The keys of the bindings that name a user, or a group.
    by_user: HashMap<String, Vec<String>>,
    by_group: HashMap<String, Vec<String>>,
}

#[derive(Clone)]
struct Binding {
    /// None: the whole cluster.
    namespace: Option<String>,
    role: String,
    subjects: Vec<Subject>,
}

/// A service account is the user of that name.
#[derive(Clone, PartialEq, Eq)]
enum Subject {
    User(String),
    Group(String),
}

impl Rbac {
    pub async fn load(source: &Source) -> Result<Arc<Self>, store::Error> {
        let rbac = Arc::new(Self::default());
        for table in [
            Table::ClusterRoles,
            Table::Roles,
            Table::ClusterRoleBindings,
            Table::RoleBindings,
        ] {
            let follower = Arc::new(Feed {
                rbac: rbac.clone(),
                table,
            });
            source.follow(table.prefix(), follower).await?;
        }
        Ok(rbac)
    }

    pub fn allows(&self, user: &User, asked: &Attributes<'_>) -> bool {
        self.read().granting(user, asked).is_some()
    }

    /// Why the request is allowed, if it is.
    pub fn reason(&self, user: &User, asked: &Attributes<'_>) -> Option<String> {
        let state = self.read();
        let (key, binding) = state.granting(user, asked)?;
        Some(explain(key, binding, user))
    }

    /// All that `user` may do in a namespace (in the whole cluster if empty).
    pub fn rules_of(&self, user: &User, namespace: &str) -> Vec<Rule> {
        let state = self.read();
        state
            .bindings_of(user, namespace)
            .flat_map(|(_, binding)| state.rules(binding).to_vec())
            .collect()
    }

    /// The rules of a role that a binding names.
    pub fn rules_of_role(&self, kind: &str, namespace: &str, name: &str) -> Option<Arc<[Rule]>> {
        let key = if kind == "ClusterRole" {
            name.to_owned()
        } else {
            format!("{namespace}/{name}")
        };
        self.read().roles.get(&key).cloned()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `RBAC: allowed by RoleBinding "readers/g" of Role "reader" to User "ann"`.
fn explain(key: &str, binding: &Binding, user: &User) -> String {
    let (what, name) = match key.split_once('/') {
        Some((namespace, name)) => ("RoleBinding", format!("{name}/{namespace}")),
        None => ("ClusterRoleBinding", key.to_owned()),
    };
    let (kind, role) = match binding.role.split_once('/') {
        Some((_, role)) => ("Role", role),
        None => ("ClusterRole", binding.role.as_str()),
    };
    let names_user = binding
        .subjects
        .iter()
        .any(|s| matches!(s, Subject::User(u) if *u == user.name));
    let subject = match user.as_service_account() {
        _ if !names_user => {
            let of_user = |group: &&String| {
                binding
                    .subjects
                    .iter()
                    .any(|s| matches!(s, Subject::Group(g) if g == *group))
            };
            let group = user.groups.iter().find(of_user);
            format!("Group {:?}", group.map_or("", String::as_str))
        }
        Some((namespace, name)) => format!("ServiceAccount \"{name}/{namespace}\""),
        None => format!("User {:?}", user.name),
    };
    format!("RBAC: allowed by {what} {name:?} of {kind} {role:?} to {subject}")
}

impl State {
    fn rules(&self, binding: &Binding) -> &[Rule] {
        self.roles.get(&binding.role).map_or(&[], |rules| rules)
    }

    fn granting<'a>(
        &'a self,
        user: &'a User,
        asked: &'a Attributes<'_>,
    ) -> Option<(&'a str, &'a Binding)> {
        let namespace = match asked.target {
            Action::Resource { namespace, .. } => namespace,
            Action::Path(_) => "",
        };
        let mut bindings = self.bindings_of(user, namespace);
        bindings.find(|(_, binding)| self.rules(binding).iter().any(|rule| rule.allows(asked)))
    }

    fn bindings_of<'a>(
        &'a self,
        user: &'a User,
        namespace: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Binding)> {
        let of_groups = user
            .groups
            .iter()
            .filter_map(|group| self.by_group.get(group));
        let keys = self.by_user.get(&user.name).into_iter().chain(of_groups);
        keys.flatten()
            .filter_map(|key| Some((key.as_str(), self.bindings.get(key)?)))
            .filter(move |(_, b)| b.namespace.as_deref().is_none_or(|n| n == namespace))
    }

    fn bind(&mut self, key: &str, binding: Binding) {
        self.unbind(key);
        for subject in &binding.subjects {
            let (table, name) = self.table(subject);
            table.entry(name).or_default().push(key.to_owned());
        }
        self.bindings.insert(key.to_owned(), binding);
    }

    fn unbind(&mut self, key: &str) {
        let Some(old) = self.bindings.remove(key) else {
            return;
        };
        for subject in &old.subjects {
            let (table, name) = self.table(subject);
            if let Some(keys) = table.get_mut(&name) {
                keys.retain(|k| k != key);
                if keys.is_empty() {
                    table.remove(&name);
                }
            }
        }
    }

    fn table(&mut self, subject: &Subject) -> (&mut HashMap<String, Vec<String>>, String) {
        match subject {
            Subject::User(name) => (&mut self.by_user, name.clone()),
            Subject::Group(name) => (&mut self.by_group, name.clone()),
        }
    }
}

#[derive(Clone, Copy)]
enum Table {
    ClusterRoles,
    Roles,
    ClusterRoleBindings,
    RoleBindings,
}

impl Table {
    fn prefix(self) -> &'static str {
        match self {
            Self::ClusterRoles => "clusterroles",
            Self::Roles => "roles",
            Self::ClusterRoleBindings => "clusterrolebindings",
            Self::RoleBindings => "rolebindings",
        }
    }

    fn holds_bindings(self) -> bool {
        matches!(self, Self::ClusterRoleBindings | Self::RoleBindings)
    }

    fn is_namespaced(self) -> bool {
        matches!(self, Self::Roles | Self::RoleBindings)
    }
}

/// One kind's changes on their way into the state.
struct Feed {
    rbac: Arc<Rbac>,
    table: Table,
}

impl Feed {
    fn write(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.rbac
            .state
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Follower for Feed {
    fn put(&self, key: &str, object: &[u8]) {
        let Some(object) = mirror::parse(key, object) else {
            return;
        };
        if self.table.holds_bindings() {
            let namespace = self
                .table
                .is_namespaced()
                .then(|| key.split('/').next().unwrap_or(""));
            let binding = read_binding(&object, namespace);
            self.write().bind(key, binding);
        } else {
            let rules = Rule::read_all(&object).into();
            self.write().roles.insert(key.to_owned(), rules);
        }
    }

    fn delete(&self, key: &str) {
        if self.table.holds_bindings() {
            self.write().unbind(key);
        } else {
            self.write().roles.remove(key);
        }
    }

    fn clear(&self) {
        let namespaced = self.table.is_namespaced();
        let mut state = self.write();
        if self.table.holds_bindings() {
            let keys: Vec<String> = state
                .bindings
                .keys()
                .filter(|k| k.contains('/') == namespaced)
                .cloned()
                .collect();
            keys.iter().for_each(|key| state.unbind(key));
        } else {
            state.roles.retain(|key, _| key.contains('/') != namespaced);
        }
    }
}

fn read_binding(object: &Value, namespace: Option<&str>) -> Binding {
    let role = &object["roleRef"];
    let name = role["name"].as_str().unwrap_or("");
    let subjects = object["subjects"].as_array();
    Binding {
        namespace: namespace.map(str::to_owned),
        role: match (role["kind"].as_str(), namespace) {
            (Some("Role"), Some(namespace)) => format!("{namespace}/{name}"),
            _ => name.to_owned(),
        },
        subjects: subjects
            .into_iter()
            .flatten()
            .map(|s| read_subject(s, namespace))
            .collect(),
    }
}

fn read_subject(subject: &Value, binding_namespace: Option<&str>) -> Subject {
    let name = subject["name"].as_str().unwrap_or("");
    match subject["kind"].as_str() {
        Some("Group") => Subject::Group(name.to_owned()),
        Some("ServiceAccount") => {
            let namespace = subject["namespace"].as_str().filter(|n| !n.is_empty());
            let namespace = namespace.or(binding_namespace).unwrap_or("");
            Subject::User(format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}"))
        }
        _ => Subject::User(name.to_owned()),
    }
}

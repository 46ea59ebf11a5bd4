//! Who may do what: members of system:masters anything, nodes what is theirs,
//! everybody what RBAC grants, or else what a webhook does. Nothing forbids; what
//! nobody allows is refused.

pub mod escalation;
pub mod node;
pub mod policy;
pub mod rbac;
pub mod rules;
pub mod selectors;
pub mod webhook;

use std::sync::Arc;

use apimachinery::{Status, status};

use tokio::runtime::Handle;

use crate::mirror::Source;
use crate::route::{Resource, Route, Target, Verb};
use crate::user::{MASTERS, User};
use selectors::{Selector, Selectors};
use webhook::Decision;

/// One question to the authorizer.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a> {
    pub verb: &'a str,
    pub target: Action<'a>,
    /// What of a collection is asked for. No role asks for it.
    pub selectors: Selectors<'a>,
    /// Of the API; empty where it is not known. No role asks for it.
    pub version: &'a str,
}

#[derive(Debug, Clone, Copy)]
pub enum Action<'a> {
    Path(&'a str),
    Resource {
        group: &'a str,
        resource: &'a str,
        subresource: &'a str,
        /// Empty for the whole cluster.
        namespace: &'a str,
        /// Empty for a collection.
        name: &'a str,
    },
}

impl<'a> Action<'a> {
    /// All objects of a kind of the core group, in the whole cluster.
    pub fn cluster(resource: &'a str) -> Self {
        Self::Resource {
            group: "",
            resource,
            subresource: "",
            namespace: "",
            name: "",
        }
    }
}

impl<'a> Attributes<'a> {
    pub fn new(verb: &'a str, target: Action<'a>) -> Self {
        Self {
            verb,
            target,
            selectors: Selectors::default(),
            version: "",
        }
    }

    pub fn of(route: &'a Route) -> Self {
        match &route.target {
            Target::Path => Self::new(path_verb(route.verb), Action::Path(&route.path)),
            Target::Resource(resource) => Self {
                selectors: selectors(resource),
                version: &resource.version,
                ..Self::new(route.verb.as_str(), action(resource))
            },
        }
    }

    /// The refusal, in Kubernetes' words.
    pub fn refusal(&self, user: &User, why: &str) -> Status {
        let name = &user.name;
        let because = if why.is_empty() {
            String::new()
        } else {
            format!(": {why}")
        };
        match self.target {
            Action::Path(path) => Status::forbidden_path(&format!(
                "User {name:?} cannot {} path {path:?}{because}",
                self.verb
            )),
            Action::Resource {
                group,
                resource,
                subresource,
                namespace,
                name: object,
            } => {
                let full = full_resource(resource, subresource);
                let scope = if namespace.is_empty() {
                    "at the cluster scope".to_owned()
                } else {
                    format!("in the namespace {namespace:?}")
                };
                Status::forbidden(
                    status::Resource::new(group, resource),
                    object,
                    &format!(
                        "User {name:?} cannot {} resource {full:?} in API group {group:?} {scope}{because}",
                        self.verb
                    ),
                )
            }
        }
    }
}

fn path_verb(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "post",
        Verb::Update => "put",
        other => other.as_str(),
    }
}

fn action(resource: &Resource) -> Action<'_> {
    Action::Resource {
        group: &resource.group,
        resource: &resource.resource,
        subresource: resource.subresource.as_deref().unwrap_or(""),
        namespace: resource.namespace.as_deref().unwrap_or(""),
        name: resource
            .name
            .as_deref()
            .or(resource.selected.as_ref().and_then(|s| s.name.as_deref()))
            .unwrap_or(""),
    }
}

fn selectors(resource: &Resource) -> Selectors<'_> {
    let selected = resource.selected.as_deref();
    selected.map_or_else(Selectors::default, |selected| Selectors {
        fields: Selector::text(selected.fields.as_deref()),
        labels: Selector::text(selected.labels.as_deref()),
    })
}

fn full_resource(resource: &str, subresource: &str) -> String {
    if subresource.is_empty() {
        return resource.to_owned();
    }
    format!("{resource}/{subresource}")
}

/// The authorizers, in the order they are asked.
pub struct Authorizer {
    rbac: Arc<rbac::Rbac>,
    nodes: node::Authorizer,
    /// Asked what none of ours allows.
    webhook: Option<webhook::Asker>,
}

impl Authorizer {
    pub async fn load(
        source: &Source,
        webhook: Option<webhook::Asker>,
    ) -> Result<Self, store::Error> {
        Ok(Self {
            rbac: rbac::Rbac::load(source).await?,
            nodes: node::Authorizer::load(source).await?,
            webhook,
        })
    }

    pub fn rbac(&self) -> &Arc<rbac::Rbac> {
        &self.rbac
    }

    /// What may be done by another server's word cannot be listed.
    pub fn has_webhook(&self) -> bool {
        self.webhook.is_some()
    }

    /// Why it is allowed, or what the refusal should add to itself.
    pub async fn decide(&self, user: &User, asked: &Attributes<'_>) -> Decision {
        match (self.decide_here(user, asked), &self.webhook) {
            (Err(why), Some(webhook)) => prefer(webhook.decide(user, asked).await, why),
            (decided, _) => decided,
        }
    }

    /// # Errors
    /// 403 in Kubernetes' words.
    pub async fn check(&self, user: &User, asked: &Attributes<'_>) -> Result<(), Status> {
        if self.allows_here(user, asked) {
            return Ok(());
        }
        match self.decide(user, asked).await {
            Ok(_) => Ok(()),
            Err(why) => Err(asked.refusal(user, &why)),
        }
    }

    /// `decide` where nothing can be awaited: in expressions, and in the middle of
    /// an admission. The webhook, if there is one, is waited for on this thread.
    pub fn decide_blocking(&self, user: &User, asked: &Attributes<'_>) -> Decision {
        match (self.decide_here(user, asked), &self.webhook) {
            (Err(why), Some(webhook)) => {
                let asking = || Handle::current().block_on(webhook.decide(user, asked));
                prefer(tokio::task::block_in_place(asking), why)
            }
            (decided, _) => decided,
        }
    }

    pub fn allows_blocking(&self, user: &User, asked: &Attributes<'_>) -> bool {
        self.allows_here(user, asked)
            || (self.webhook.is_some() && self.decide_blocking(user, asked).is_ok())
    }

    fn decide_here(&self, user: &User, asked: &Attributes<'_>) -> Decision {
        if let Some(decided) = self.without_roles(user, asked) {
            return decided;
        }
        let refusal = self.refusal_of_node(user, asked);
        self.rbac.reason(user, asked).ok_or(refusal)
    }

    fn allows_here(&self, user: &User, asked: &Attributes<'_>) -> bool {
        match self.without_roles(user, asked) {
            Some(decided) => decided.is_ok(),
            None => self.rbac.allows(user, asked),
        }
    }

    /// What is decided whatever the roles say; they are asked for the rest.
    fn without_roles(&self, user: &User, asked: &Attributes<'_>) -> Option<Decision> {
        if user.is_in(MASTERS) {
            return Some(Ok(String::new()));
        }
        match self.nodes.decide(user.node()?, asked) {
            node::Decision::Allow => Some(Ok(String::new())),
            node::Decision::NoOpinion(_) => None,
        }
    }

    fn refusal_of_node(&self, user: &User, asked: &Attributes<'_>) -> String {
        match user.node().map(|node| self.nodes.decide(node, asked)) {
            Some(node::Decision::NoOpinion(why)) => why,
            _ => String::new(),
        }
    }
}

/// The webhook's word; where it says nothing, why ours refused.
fn prefer(told: Decision, why: String) -> Decision {
    told.map_err(|reason| if reason.is_empty() { why } else { reason })
}

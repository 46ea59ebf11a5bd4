//! Where a policy is in force, with which parameters, and what becomes of its no.

use apimachinery::meta;
use apimachinery::selector::LabelSelector;
use serde_json::{Value, json};

use super::super::matching::Criteria;

#[derive(Debug)]
pub struct Binding {
    pub name: String,
    pub policy: String,
    /// None: wherever the policy is.
    pub criteria: Option<Criteria>,
    pub params: Option<ParamRef>,
    pub actions: Actions,
}

/// What is done with a validation that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actions(Vec<String>);

/// The parameters of a policy.
#[derive(Debug)]
pub struct ParamRef {
    pub which: Which,
    /// Empty: that of the request.
    pub namespace: String,
    /// A binding that finds none does nothing.
    pub may_be_missing: bool,
}

#[derive(Debug)]
pub enum Which {
    Named(String),
    Selected(LabelSelector),
}

impl Binding {
    pub fn read(name: &str, binding: &Value) -> Self {
        let spec = &binding["spec"];
        let resources = &spec["matchResources"];
        Self {
            name: name.to_owned(),
            policy: meta::text(spec, "policyName").to_owned(),
            criteria: resources.is_object().then(|| criteria(resources)),
            params: spec["paramRef"]
                .is_object()
                .then(|| ParamRef::read(&spec["paramRef"])),
            actions: Actions(texts(meta::items(spec, "validationActions"))),
        }
    }
}

fn texts(items: &[Value]) -> Vec<String> {
    items
        .iter()
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

/// A binding without rules is about all that its policy is about.
fn criteria(resources: &Value) -> Criteria {
    let everything = [json!({
        "operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"],
    })];
    let rules = meta::items(resources, "resourceRules");
    let rules = if rules.is_empty() { &everything } else { rules };
    Criteria::read(
        rules,
        meta::items(resources, "excludeResourceRules"),
        resources,
    )
}

impl ParamRef {
    fn read(reference: &Value) -> Self {
        let selector = || {
            let selector = LabelSelector::from_object(&reference["selector"]);
            selector.unwrap_or_else(|_| LabelSelector::nothing())
        };
        Self {
            which: match meta::text(reference, "name") {
                "" => Which::Selected(selector()),
                name => Which::Named(name.to_owned()),
            },
            namespace: meta::text(reference, "namespace").to_owned(),
            may_be_missing: meta::text(reference, "parameterNotFoundAction") == "Allow",
        }
    }
}

impl Actions {
    pub fn has(&self, action: &str) -> bool {
        self.0.iter().any(|one| one == action)
    }

    pub fn names(&self) -> &[String] {
        &self.0
    }
}

//! Deleting what is in a namespace, and telling what is left.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt};
use kube::Client;
use kube::api::{DeleteParams, ListParams, PropagationPolicy};

use crate::error::Error;
use crate::key::Key;
use crate::resources::{self, Resource};

/// Resources emptied at once.
const AT_ONCE: usize = 8;
const PAGE: u32 = 500;

/// What is still in a namespace, and why.
#[derive(Debug, Default)]
pub struct Remains {
    /// Group-versions that nobody could ask for.
    pub silent: Vec<String>,
    pub failures: Vec<String>,
    /// How many objects, by resource.
    pub objects: BTreeMap<String, usize>,
    /// How many objects, by the finalizer they wait for.
    pub finalizers: BTreeMap<String, usize>,
}

impl Remains {
    pub fn is_nothing(&self) -> bool {
        self.silent.is_empty() && self.failures.is_empty() && self.objects.is_empty()
    }

    fn note(&mut self, resource: &Resource, outcome: Result<Vec<Vec<String>>, kube::Error>) {
        let left = match outcome {
            Ok(left) => left,
            Err(error) => {
                let why = format!("{}: {}", resource.full_name(), words(&error));
                return self.failures.push(why);
            }
        };
        if !left.is_empty() {
            *self.objects.entry(resource.full_name()).or_default() += left.len();
        }
        for finalizer in left.into_iter().flatten() {
            *self.finalizers.entry(finalizer).or_default() += 1;
        }
    }
}

/// Deletes all content of the namespace; pods first, the rest when they are gone.
pub async fn delete(client: &Client, namespace: &Key) -> Result<Remains, Error> {
    let served = resources::discover(client).await.map_err(Error::api(
        "discover what is in",
        "Namespace",
        namespace,
    ))?;
    let mut remains = Remains {
        silent: served.silent,
        ..Remains::default()
    };
    let deletable = served.resources.into_iter();
    let deletable = deletable.filter(|r| r.is_namespaced && r.allows("list") && r.allows("delete"));
    let (pods, others): (Vec<_>, Vec<_>) = deletable.partition(|r| r.is("", "pods"));
    for pods in pods {
        remains.note(&pods, empty(client, &pods, &namespace.name).await);
    }
    if !remains.objects.is_empty() {
        return Ok(remains);
    }
    let emptied = others.into_iter().map(|resource| async move {
        let outcome = empty(client, &resource, &namespace.name).await;
        (resource, outcome)
    });
    let emptied = stream::iter(emptied).buffer_unordered(AT_ONCE);
    let mut emptied = std::pin::pin!(emptied);
    while let Some((resource, outcome)) = emptied.next().await {
        remains.note(&resource, outcome);
    }
    Ok(remains)
}

/// Deletes all objects of one resource; returns the finalizers of each that is
/// still there.
async fn empty(
    client: &Client,
    resource: &Resource,
    namespace: &str,
) -> Result<Vec<Vec<String>>, kube::Error> {
    let api = resource.api(client, namespace);
    let found = list(&api).await?;
    if found.iter().all(|left| left.is_ending) {
        return Ok(found.into_iter().map(|left| left.finalizers).collect());
    }
    let params = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Background),
        ..DeleteParams::default()
    };
    if resource.allows("deletecollection") {
        api.delete_collection(&params, &ListParams::default())
            .await?;
    } else {
        for Left { name, .. } in found {
            match api.delete(&name, &params).await {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(error),
            }
        }
    }
    let left = list(&api).await?;
    Ok(left.into_iter().map(|left| left.finalizers).collect())
}

/// An object that is still there.
struct Left {
    name: String,
    finalizers: Vec<String>,
    is_ending: bool,
}

/// All objects; what was taken off the list of served resources meanwhile has
/// none.
async fn list(api: &kube::Api<kube::api::DynamicObject>) -> Result<Vec<Left>, kube::Error> {
    let mut params = ListParams::default().limit(PAGE);
    let mut all = Vec::new();
    loop {
        let page = match api.list_metadata(&params).await {
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 405) => return Ok(all),
            page => page?,
        };
        all.extend(page.items.into_iter().map(|o| Left {
            name: o.metadata.name.unwrap_or_default(),
            finalizers: o.metadata.finalizers.unwrap_or_default(),
            is_ending: o.metadata.deletion_timestamp.is_some(),
        }));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(all),
        }
    }
}

fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

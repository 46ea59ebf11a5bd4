use std::process::ExitCode;

use anyhow::{bail, ensure};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::client::ClientFlags;
use crate::cluster::select::Target;
use crate::cluster::{Cluster, STRATEGIC_PATCH, full_name};
use crate::print;

/// `skiff set`: change one thing of a workload.
#[derive(Subcommand)]
pub enum Set {
    /// Change images: TYPE/NAME CONTAINER=IMAGE..., * for all containers
    Image(Image),
}

#[derive(Args)]
pub struct Image {
    #[command(flatten)]
    client: ClientFlags,

    /// TYPE/NAME, then CONTAINER=IMAGE of each container to change
    #[arg(required = true, num_args = 2.., value_name = "TYPE/NAME CONTAINER=IMAGE")]
    words: Vec<String>,
}

impl Set {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Image(image) => image.run().await,
        }
    }
}

impl Image {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let cluster = Cluster::connect(&self.client).await?;
        let (changes, what): (Vec<String>, Vec<String>) =
            self.words.into_iter().partition(|w| w.contains('='));
        ensure!(
            !changes.is_empty(),
            "at least one image update is required, as CONTAINER=IMAGE"
        );
        let mut errors = Vec::new();
        for target in cluster.targets(&what)? {
            if let Err(error) = set(&cluster, &target, &changes).await {
                errors.push(error);
            }
        }
        Ok(super::finish(&errors))
    }
}

async fn set(cluster: &Cluster, target: &Target, changes: &[String]) -> anyhow::Result<()> {
    let Some(name) = &target.name else {
        bail!("resource name may not be empty; give TYPE/NAME");
    };
    let path = cluster.path(&target.resource, Some(&cluster.namespace), Some(name));
    let object = cluster.get(&path).await?;
    let patch = patch(&object, changes)?;
    let patched = cluster.patch(&path, STRATEGIC_PATCH, &patch).await?;
    // Nothing is said, as by kubectl, where nothing changed.
    if patched["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] {
        print::out(&format!(
            "{} image updated\n",
            full_name(&target.resource, name)
        ));
    }
    Ok(())
}

fn patch(object: &Value, changes: &[String]) -> anyhow::Result<Value> {
    let has_template = object["spec"].get("template").is_some();
    let spec = if has_template {
        &object["spec"]["template"]["spec"]
    } else {
        &object["spec"]
    };
    let mut patched = json!({});
    for change in changes {
        let (container, image) = change.split_once('=').unwrap_or_default();
        let mut is_found = false;
        for list in ["containers", "initContainers"] {
            let names = spec[list]
                .as_array()
                .into_iter()
                .flatten()
                .map(|c| c["name"].clone());
            for name in names.filter(|n| container == "*" || n == container) {
                is_found = true;
                let entry = json!({ "name": name, "image": image });
                match patched[list].as_array_mut() {
                    Some(entries) => entries.push(entry),
                    None => patched[list] = json!([entry]),
                }
            }
        }
        ensure!(is_found, "unable to find container named {container:?}");
    }
    Ok(if has_template {
        json!({ "spec": { "template": { "spec": patched } } })
    } else {
        json!({ "spec": patched })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_container_is_an_error_and_a_star_means_all() {
        let object = json!({ "spec": { "template": { "spec": { "containers": [{ "name": "a" }, { "name": "b" }] } } } });
        assert!(patch(&object, &["x=1".into()]).is_err());
        let all = patch(&object, &["*=i:2".into()]).unwrap();
        let containers = all.pointer("/spec/template/spec/containers").unwrap();
        assert_eq!(
            containers,
            &json!([{ "name": "a", "image": "i:2" }, { "name": "b", "image": "i:2" }])
        );
    }
}

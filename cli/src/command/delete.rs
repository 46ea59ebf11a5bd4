use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use futures::{AsyncBufReadExt, TryStreamExt};
use http::Request;
use serde_json::{Value, json};

use crate::client::ClientFlags;
use crate::cluster::select::Target;
use crate::cluster::{Cluster, encode, full_name, is_not_found, refused, text, when};
use crate::{manifest, print};

/// `skiff delete`: remove objects.
#[derive(Args)]
pub struct Delete {
    #[command(flatten)]
    client: ClientFlags,

    /// TYPE NAME..., or TYPE/NAME...
    #[arg(value_name = "TYPE[/NAME]")]
    what: Vec<String>,

    /// The objects of a file, a directory, a URL, or - for stdin
    #[arg(short, long, value_name = "SOURCE", conflicts_with = "what")]
    filename: Vec<String>,

    /// Look into directories below directories
    #[arg(short = 'R', long)]
    recursive: bool,

    /// Those with these labels
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,

    /// All of the type in the namespace
    #[arg(long)]
    all: bool,

    /// In all namespaces, with --all or -l
    #[arg(short = 'A', long)]
    all_namespaces: bool,

    /// Seconds that pods are given to end; below 0 leaves it to them
    #[arg(long, value_name = "SECONDS", default_value_t = -1, allow_negative_numbers = true)]
    grace_period: i64,

    /// Remove at once, as with --grace-period=0
    #[arg(long)]
    force: bool,

    /// Remove with a grace period of 1 second
    #[arg(long)]
    now: bool,

    /// What becomes of what they own
    #[arg(long, value_enum, default_value = "background")]
    cascade: Cascade,

    /// Return without waiting until they are gone
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    wait: bool,

    /// Give up waiting after this long, such as 90s; 0s never
    #[arg(long, default_value = "0s", value_name = "DURATION")]
    timeout: jiff::SignedDuration,

    /// An object that is not there is no error
    #[arg(long)]
    ignore_not_found: bool,

    /// How to name what was deleted
    #[arg(short, long, value_name = "name")]
    output: Option<Named>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Cascade {
    Background,
    Foreground,
    Orphan,
}

#[derive(Clone, Copy, ValueEnum)]
enum Named {
    Name,
}

/// What to delete, and what a manifest's source says of it.
struct Doomed {
    target: Target,
    namespace: String,
    source: Option<String>,
}

impl Delete {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let cluster = Cluster::connect(&self.client).await?;
        if self.force {
            eprintln!(
                "Warning: Immediate deletion does not wait for confirmation that the running resource has been \
                 terminated. The resource may continue to run on the cluster indefinitely."
            );
        }
        let (mut errors, mut paths) = (Vec::new(), Vec::new());
        let doomed = self.doomed(&cluster).await?;
        if doomed.is_empty() {
            eprintln!("No resources found");
        }
        for doomed in doomed {
            match self.delete(&cluster, &doomed).await {
                Ok(gone) => paths.extend(gone),
                Err(error) => errors.push(error),
            }
        }
        if self.wait {
            self.wait(&cluster, &paths).await?;
        }
        Ok(super::finish(&errors))
    }

    async fn delete(
        &self,
        cluster: &Cluster,
        doomed: &Doomed,
    ) -> anyhow::Result<Option<(String, String)>> {
        let resource = &doomed.target.resource;
        let name = doomed.target.name.as_deref().unwrap_or_default();
        let path = cluster.path(resource, Some(&doomed.namespace), Some(name));
        let answer = match cluster.delete(&path, &self.options()).await {
            Ok(answer) => answer,
            Err(error) if self.ignore_not_found && is_not_found(&error) => return Ok(None),
            Err(error) => {
                return Err(match &doomed.source {
                    Some(source) => when(error, &format!("error when deleting {source:?}")),
                    None => error,
                });
            }
        };
        let full = full_name(resource, name);
        let how = if self.force {
            "force deleted"
        } else {
            "deleted"
        };
        print::out(&match (self.output, full.split_once('/')) {
            (None, Some((kind, name))) => format!("{kind} \"{name}\" {how}\n"),
            _ => format!("{full}\n"),
        });
        // The object itself while it ends, a Status that names it once it is gone.
        let uid = match text(&answer, "/metadata/uid") {
            "" => text(&answer, "/details/uid"),
            uid => uid,
        };
        Ok(Some((path, uid.to_owned())))
    }

    async fn doomed(&self, cluster: &Cluster) -> anyhow::Result<Vec<Doomed>> {
        if !self.filename.is_empty() {
            let found = manifest::read(&self.filename, self.recursive).await?;
            return found
                .iter()
                .map(|found| of_manifest(cluster, found))
                .collect();
        }
        ensure!(
            !self.what.is_empty(),
            "you must say what to delete: TYPE NAME, TYPE/NAME, TYPE -l SELECTOR, TYPE --all or -f SOURCE"
        );
        let mut doomed = Vec::new();
        for target in cluster.targets(&self.what)? {
            let is_many = self.all || self.selector.is_some();
            match (&target.name, is_many) {
                (Some(_), true) => bail!("name cannot be provided when a selector is specified"),
                (Some(_), false) => doomed.push(Doomed {
                    target,
                    namespace: cluster.namespace.clone(),
                    source: None,
                }),
                (None, true) => doomed.extend(self.selected(cluster, &target).await?),
                (None, false) => bail!(
                    "resource(s) were provided, but no name was specified; give a name, -l SELECTOR or --all"
                ),
            }
        }
        Ok(doomed)
    }

    async fn selected(&self, cluster: &Cluster, kind: &Target) -> anyhow::Result<Vec<Doomed>> {
        let namespace = (!self.all_namespaces).then_some(cluster.namespace.as_str());
        let mut path = cluster.path(&kind.resource, namespace, None);
        if let Some(selector) = &self.selector {
            path.push_str(&format!("?labelSelector={}", encode(selector)));
        }
        let list = cluster.get(&path).await?;
        let one = |item: &Value| Doomed {
            target: Target {
                resource: kind.resource.clone(),
                name: Some(text(item, "/metadata/name").into()),
            },
            namespace: text(item, "/metadata/namespace").to_owned(),
            source: None,
        };
        let items = list["items"].as_array().into_iter().flatten();
        Ok(items.map(one).collect())
    }

    fn options(&self) -> Value {
        let policy = match self.cascade {
            Cascade::Background => "Background",
            Cascade::Foreground => "Foreground",
            Cascade::Orphan => "Orphan",
        };
        let mut options =
            json!({ "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy });
        let grace = match self.grace_period {
            seconds if seconds >= 0 => Some(seconds),
            _ if self.force => Some(0),
            _ if self.now => Some(1),
            _ => None,
        };
        if let Some(seconds) = grace {
            options["gracePeriodSeconds"] = seconds.into();
        }
        options
    }

    async fn wait(&self, cluster: &Cluster, paths: &[(String, String)]) -> anyhow::Result<()> {
        let all = async {
            for (path, uid) in paths {
                until_gone(cluster, path, uid).await?;
            }
            Ok(())
        };
        let limit = Duration::try_from(self.timeout).unwrap_or_default();
        if limit.is_zero() {
            return all.await;
        }
        let ended = tokio::time::timeout(limit, all).await;
        ended.context("timed out waiting for what was deleted to be gone")?
    }
}

fn of_manifest(cluster: &Cluster, found: &manifest::Found) -> anyhow::Result<Doomed> {
    let object = &found.object;
    let resource = cluster.of_kind(text(object, "/apiVersion"), text(object, "/kind"))?;
    let name = text(object, "/metadata/name");
    ensure!(
        !name.is_empty(),
        "resource name may not be empty: a {} of {:?} has no metadata.name",
        resource.kind,
        found.source
    );
    Ok(Doomed {
        target: Target {
            resource: resource.clone(),
            name: Some(name.to_owned()),
        },
        namespace: cluster.namespace_of(object)?.to_owned(),
        source: Some(found.source.clone()),
    })
}

/// Waits, by a watch, until the object is gone; another of its name is not it.
pub async fn until_gone(cluster: &Cluster, path: &str, uid: &str) -> anyhow::Result<()> {
    let (list, name) = path.rsplit_once('/').unwrap_or_default();
    let only = encode(&format!("metadata.name={name}"));
    loop {
        let found = cluster.find(path).await?;
        let Some(object) = found.filter(|found| text(found, "/metadata/uid") == uid) else {
            return Ok(());
        };
        let version = text(&object, "/metadata/resourceVersion");
        let watch = format!("{list}?watch=true&fieldSelector={only}&resourceVersion={version}");
        let request = Request::get(watch).body(Vec::new())?;
        let stream = cluster
            .client
            .request_stream(request)
            .await
            .map_err(refused)?;
        let mut lines = stream.lines();
        while let Some(line) = lines.try_next().await? {
            let event: Value = serde_json::from_str(&line)?;
            match event["type"].as_str() {
                Some("DELETED") => return Ok(()),
                // The server wants us to look again.
                Some("ERROR") => break,
                _ => {}
            }
        }
    }
}

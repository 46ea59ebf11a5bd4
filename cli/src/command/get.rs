use std::process::ExitCode;

use clap::Args;
use futures::{AsyncBufReadExt, TryStreamExt};
use http::{Request, header};
use serde_json::{Value, json};

use crate::client::ClientFlags;
use crate::cluster::select::Target;
use crate::cluster::{Cluster, TABLE, encode, full_name, text};
use crate::print::{self, Extra, Output};

/// `skiff get`: show objects.
#[derive(Args)]
pub struct Get {
    #[command(flatten)]
    client: ClientFlags,

    /// TYPE [NAME...], TYPE/NAME..., or several types as TYPE,TYPE
    #[arg(required = true, value_name = "TYPE[/NAME]")]
    what: Vec<String>,

    /// How to show them
    #[arg(short, long, value_enum)]
    output: Option<Output>,

    /// In all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,

    /// Only those with these labels
    #[arg(short = 'l', long, value_name = "SELECTOR", default_value = "")]
    selector: String,

    /// Only those with these fields
    #[arg(long, value_name = "SELECTOR", default_value = "")]
    field_selector: String,

    /// Go on showing changes
    #[arg(short, long)]
    watch: bool,

    /// Show labels in a last column
    #[arg(long)]
    show_labels: bool,

    /// Leave out the line of column names
    #[arg(long)]
    no_headers: bool,

    /// An object that is not there is no error
    #[arg(long)]
    ignore_not_found: bool,

    /// Show which client set which field (with -o yaml or json)
    #[arg(long)]
    show_managed_fields: bool,
}

impl Get {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let cluster = Cluster::connect(&self.client).await?;
        let targets = cluster.targets(&self.what)?;
        match self.output {
            Some(Output::Yaml | Output::Json) => self.whole(&cluster, &targets).await?,
            Some(Output::Name) => self.names(&cluster, &targets).await?,
            None | Some(Output::Wide) => self.tables(&cluster, &targets).await?,
        }
        if let (true, [target]) = (self.watch, targets.as_slice()) {
            self.watch(&cluster, target).await?;
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn whole(&self, cluster: &Cluster, targets: &[Target]) -> anyhow::Result<()> {
        let output = self.output.unwrap_or(Output::Yaml);
        let is_one = matches!(targets, [Target { name: Some(_), .. }]);
        let objects = self.objects(cluster, targets).await?;
        let shown = match (is_one, objects.as_slice()) {
            (true, []) => return Ok(()),
            (true, [object]) => object.clone(),
            _ => {
                json!({ "apiVersion": "v1", "items": objects, "kind": "List", "metadata": { "resourceVersion": "" } })
            }
        };
        print!(
            "{}",
            print::whole(&shown, output, self.show_managed_fields)?
        );
        Ok(())
    }

    async fn names(&self, cluster: &Cluster, targets: &[Target]) -> anyhow::Result<()> {
        for target in targets {
            for object in self.objects(cluster, std::slice::from_ref(target)).await? {
                println!(
                    "{}",
                    full_name(&target.resource, text(&object, "/metadata/name"))
                );
            }
        }
        Ok(())
    }

    async fn objects(&self, cluster: &Cluster, targets: &[Target]) -> anyhow::Result<Vec<Value>> {
        let mut objects = Vec::new();
        for target in targets {
            let path = self.path(cluster, target);
            let found = if self.ignore_not_found {
                cluster.find(&path).await?
            } else {
                Some(cluster.get(&path).await?)
            };
            let Some(mut found) = found else { continue };
            if target.name.is_some() {
                objects.push(found);
                continue;
            }
            for item in found["items"].as_array_mut().into_iter().flatten() {
                item["apiVersion"] = target.resource.api_version().into();
                item["kind"] = target.resource.kind.clone().into();
                objects.push(item.take());
            }
        }
        Ok(objects)
    }

    async fn tables(&self, cluster: &Cluster, targets: &[Target]) -> anyhow::Result<()> {
        let is_mixed = targets.iter().any(|t| t.resource != targets[0].resource);
        let (mut lines, mut is_empty, mut last) = (Vec::new(), true, None);
        for target in targets {
            let path = self.path(cluster, target);
            if self.ignore_not_found
                && target.name.is_some()
                && cluster.find(&path).await?.is_none()
            {
                continue;
            }
            let table = cluster.get_as(&path, TABLE).await?;
            if table["rows"].as_array().is_none_or(Vec::is_empty) {
                continue;
            }
            let is_same = last.replace(&target.resource) == Some(&target.resource);
            if !is_same && !lines.is_empty() {
                println!("{}", print::aligned(&lines));
                lines.clear();
            }
            let prefix = if is_mixed {
                full_name(&target.resource, "")
            } else {
                String::new()
            };
            lines.extend(print::rows(&table, self.extra(is_same), &prefix));
            is_empty = false;
        }
        print!("{}", print::aligned(&lines));
        if is_empty && !self.ignore_not_found {
            self.say_nothing_found(cluster, targets);
        }
        Ok(())
    }

    fn say_nothing_found(&self, cluster: &Cluster, targets: &[Target]) {
        let is_namespaced = targets.iter().any(|t| t.resource.namespaced);
        if self.all_namespaces || !is_namespaced {
            eprintln!("No resources found");
        } else {
            eprintln!("No resources found in {} namespace.", cluster.namespace);
        }
    }

    async fn watch(&self, cluster: &Cluster, target: &Target) -> anyhow::Result<()> {
        let mut list = target.clone();
        let name = list.name.take();
        let mut path = self.path(cluster, &list);
        path.push(if path.contains('?') { '&' } else { '?' });
        path.push_str("watch=true");
        if let Some(name) = name {
            path.push_str(&format!(
                "&fieldSelector={}",
                encode(&format!("metadata.name={name}"))
            ));
        }
        let version = cluster.get(&self.path(cluster, &list)).await?;
        path.push_str(&format!(
            "&resourceVersion={}",
            text(&version, "/metadata/resourceVersion")
        ));
        let request = Request::get(path)
            .header(header::ACCEPT, TABLE)
            .body(Vec::new())?;
        let stream = cluster.client.request_stream(request).await?;
        let mut lines = stream.lines();
        while let Some(line) = lines.try_next().await? {
            let event: Value = serde_json::from_str(&line)?;
            print!(
                "{}",
                print::aligned(&print::rows(&event["object"], self.extra(true), ""))
            );
        }
        Ok(())
    }

    fn extra(&self, is_continued: bool) -> Extra {
        Extra {
            wide: self.output == Some(Output::Wide),
            namespace: self.all_namespaces,
            labels: self.show_labels,
            no_headers: self.no_headers || is_continued,
        }
    }

    fn path(&self, cluster: &Cluster, target: &Target) -> String {
        let namespace = (!self.all_namespaces).then_some(cluster.namespace.as_str());
        let mut path = cluster.path(&target.resource, namespace, target.name.as_deref());
        let mut separator = '?';
        if target.name.is_none() {
            for (key, value) in [
                ("labelSelector", &self.selector),
                ("fieldSelector", &self.field_selector),
            ] {
                if !value.is_empty() {
                    path.push_str(&format!("{separator}{key}={}", encode(value)));
                    separator = '&';
                }
            }
        }
        path
    }
}

//! `skiff get`: show objects.

mod table;
mod watch;

use std::process::ExitCode;

use anyhow::{bail, ensure};
use clap::Args;
use http::Request;
use serde_json::{Value, json};

use crate::client::ClientFlags;
use crate::cluster::select::Target;
use crate::cluster::{Cluster, encode, full_name, is_not_found, refused, text};
use crate::print::{self, Output, Template};

#[derive(Args)]
pub struct Get {
    #[command(flatten)]
    client: ClientFlags,

    /// TYPE [NAME...], TYPE/NAME..., or several types as TYPE,TYPE
    #[arg(value_name = "TYPE[/NAME]")]
    what: Vec<String>,

    /// wide, yaml, json, name, jsonpath=TEMPLATE or custom-columns=HEADER:PATH,...
    #[arg(short, long, value_name = "FORMAT", value_parser = print::output)]
    output: Option<Output>,

    /// In all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,

    /// Only those with these labels, such as app=web or 'tier in (a,b)'
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,

    /// Only those with these fields, such as status.phase=Running
    #[arg(long, value_name = "SELECTOR")]
    field_selector: Option<String>,

    /// Order by a field, such as .metadata.creationTimestamp
    #[arg(long, value_name = "PATH", value_parser = Template::parse_path)]
    sort_by: Option<Template>,

    /// Go on showing changes
    #[arg(short, long)]
    watch: bool,

    /// Show changes only, not what is there now
    #[arg(long)]
    watch_only: bool,

    /// Show all labels in a last column
    #[arg(long)]
    show_labels: bool,

    /// Show these labels, in a column each
    #[arg(short = 'L', long, value_delimiter = ',', value_name = "LABEL")]
    label_columns: Vec<String>,

    /// Leave out the line of column names
    #[arg(long)]
    no_headers: bool,

    /// An object that is not there is no error
    #[arg(long)]
    ignore_not_found: bool,

    /// Show which client set which field (with -o yaml or json)
    #[arg(long)]
    show_managed_fields: bool,

    /// Show what the server answers at this path, such as /healthz
    #[arg(long, value_name = "PATH", conflicts_with_all = ["what", "output", "watch"])]
    raw: Option<String>,
}

impl Get {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let cluster = Cluster::connect(&self.client).await?;
        if let Some(path) = &self.raw {
            let request = Request::get(path).body(Vec::new())?;
            let answer = cluster.client.request_text(request).await;
            print::out(&answer.map_err(refused)?);
            return Ok(ExitCode::SUCCESS);
        }
        let targets = cluster.targets(&self.what)?;
        self.check(&targets)?;
        if self.watch || self.watch_only {
            return self.watch(&cluster, &targets).await;
        }
        let mut errors = Vec::new();
        match &self.output {
            None | Some(Output::Wide) => self.tables(&cluster, &targets, &mut errors).await,
            Some(output) => {
                let objects = self.objects(&cluster, &targets, &mut errors).await;
                self.show(output, &targets, objects)?;
            }
        }
        Ok(super::finish(&errors))
    }

    fn check(&self, targets: &[Target]) -> anyhow::Result<()> {
        let is_named = targets.iter().any(|t| t.name.is_some());
        ensure!(
            !(is_named && self.all_namespaces),
            "a resource cannot be retrieved by name across all namespaces"
        );
        ensure!(
            !(is_named && self.selector.is_some()),
            "name cannot be provided when a selector is specified"
        );
        Ok(())
    }

    fn show(
        &self,
        output: &Output,
        targets: &[Target],
        objects: Vec<(Target, Value)>,
    ) -> anyhow::Result<()> {
        if let Output::Name = output {
            let name = |(target, object): &(Target, Value)| {
                full_name(&target.resource, text(object, "/metadata/name")) + "\n"
            };
            print::out(&objects.iter().map(name).collect::<String>());
            return Ok(());
        }
        let mut objects: Vec<Value> = objects.into_iter().map(|(_, object)| object).collect();
        if let Some(path) = &self.sort_by {
            objects.sort_by(|a, b| table::order(path, a, b));
        }
        if let Output::Columns(columns) = output {
            print::out(&print::custom(&objects, columns, self.no_headers));
            return Ok(());
        }
        let is_one = matches!(targets, [Target { name: Some(_), .. }]);
        let shown = match (is_one, objects.as_slice()) {
            (true, []) => return Ok(()),
            (true, [object]) => object.clone(),
            _ => {
                json!({ "apiVersion": "v1", "items": objects, "kind": "List", "metadata": { "resourceVersion": "" } })
            }
        };
        print::out(&print::whole(&shown, output, self.show_managed_fields)?);
        Ok(())
    }

    /// Each object with what it is; what could not be had goes to `errors`.
    async fn objects(
        &self,
        cluster: &Cluster,
        targets: &[Target],
        errors: &mut Vec<anyhow::Error>,
    ) -> Vec<(Target, Value)> {
        let mut objects = Vec::new();
        for target in targets {
            let found = cluster.get(&self.path(cluster, target)).await;
            let Some(mut found) = self.noted(found, errors) else {
                continue;
            };
            if target.name.is_some() {
                objects.push((target.clone(), found));
                continue;
            }
            for item in found["items"].as_array_mut().into_iter().flatten() {
                item["apiVersion"] = target.resource.api_version().into();
                item["kind"] = target.resource.kind.clone().into();
                objects.push((target.clone(), item.take()));
            }
        }
        objects
    }

    fn noted(
        &self,
        found: anyhow::Result<Value>,
        errors: &mut Vec<anyhow::Error>,
    ) -> Option<Value> {
        match found {
            Ok(found) => Some(found),
            Err(error) if self.ignore_not_found && is_not_found(&error) => None,
            Err(error) => {
                errors.push(error);
                None
            }
        }
    }

    fn path(&self, cluster: &Cluster, target: &Target) -> String {
        let namespace = (!self.all_namespaces).then_some(cluster.namespace.as_str());
        let mut path = cluster.path(&target.resource, namespace, target.name.as_deref());
        let mut separator = '?';
        let mut add = |key: &str, value: &str| {
            path.push_str(&format!("{separator}{key}={}", encode(value)));
            separator = '&';
        };
        if target.name.is_none() {
            if let Some(selector) = &self.selector {
                add("labelSelector", selector);
            }
            if let Some(selector) = &self.field_selector {
                add("fieldSelector", selector);
            }
        }
        if self.sort_by.is_some() {
            add("includeObject", "Object");
        }
        path
    }

    /// The only kind that is meant, for what can be done with one at a time.
    fn only<'a>(&self, targets: &'a [Target]) -> anyhow::Result<&'a Target> {
        match targets {
            [target] => Ok(target),
            _ => bail!("you may only specify a single resource type"),
        }
    }
}

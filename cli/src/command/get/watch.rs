//! `skiff get --watch`: what is there, then every change.

use std::process::ExitCode;

use futures::{AsyncBufReadExt, TryStreamExt};
use http::{Request, header};
use serde_json::Value;

use super::Get;
use crate::cluster::select::Target;
use crate::cluster::{Cluster, JSON, TABLE, encode, full_name, refused, server_error, text};
use crate::print::{self, Output, Tabs};

/// What is shown of one kind, as it changes.
struct Shown<'a> {
    get: &'a Get,
    target: &'a Target,
    /// A line as wide as all before it, so that later rows line up with them.
    head: String,
}

impl Get {
    pub(super) async fn watch(
        &self,
        cluster: &Cluster,
        targets: &[Target],
    ) -> anyhow::Result<ExitCode> {
        let target = self.only(targets)?;
        let path = self.list_path(cluster, target);
        let accept = match self.output {
            None | Some(Output::Wide) => TABLE,
            Some(_) => JSON,
        };
        let list = cluster.get_as(&path, accept).await?;
        let mut shown = Shown {
            get: self,
            target,
            head: String::new(),
        };
        if !self.watch_only {
            shown.list(list.clone())?;
        }
        let version = text(&list, "/metadata/resourceVersion");
        let watch = format!("{path}watch=true&resourceVersion={version}");
        let request = Request::get(watch).header(header::ACCEPT, accept);
        let stream = cluster.client.request_stream(request.body(Vec::new())?);
        let mut lines = stream.await.map_err(refused)?.lines();
        while let Some(line) = lines.try_next().await? {
            let mut event: Value = serde_json::from_str(&line)?;
            if event["type"] == "ERROR" {
                return Err(server_error(&event["object"]));
            }
            shown.change(event["object"].take())?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The path of a list of what is meant, ready for more parameters.
    fn list_path(&self, cluster: &Cluster, target: &Target) -> String {
        let mut list = target.clone();
        let name = list.name.take();
        let mut path = self.path(cluster, &list);
        path.push(if path.contains('?') { '&' } else { '?' });
        if let Some(name) = name {
            let only = encode(&format!("metadata.name={name}"));
            path.push_str(&format!("fieldSelector={only}&"));
        }
        path
    }
}

impl Shown<'_> {
    fn list(&mut self, mut list: Value) -> anyhow::Result<()> {
        if list["kind"] == "Table" {
            return self.change(list);
        }
        for item in list["items"].as_array_mut().into_iter().flatten() {
            item["apiVersion"] = self.target.resource.api_version().into();
            item["kind"] = self.target.resource.kind.clone().into();
            self.change(item.take())?;
        }
        Ok(())
    }

    fn change(&mut self, object: Value) -> anyhow::Result<()> {
        match &self.get.output {
            None | Some(Output::Wide) => self.rows(&object),
            Some(Output::Name) => {
                let name = full_name(&self.target.resource, text(&object, "/metadata/name"));
                print::out(&(name + "\n"));
            }
            Some(Output::Columns(columns)) => {
                let no_headers = self.get.no_headers || !self.head.is_empty();
                print::out(&print::custom(&[object], columns, no_headers));
                self.head = "\n".into();
            }
            Some(output) => {
                if *output == Output::Yaml
                    && !std::mem::replace(&mut self.head, "---\n".into()).is_empty()
                {
                    print::out(&self.head);
                }
                print::out(&print::whole(
                    &object,
                    output,
                    self.get.show_managed_fields,
                )?);
            }
        }
        Ok(())
    }

    fn rows(&mut self, table: &Value) {
        if table["rows"].as_array().is_none_or(Vec::is_empty) {
            return;
        }
        let is_first = self.head.is_empty();
        let extra = self.get.extra(&self.target.resource, !is_first);
        let rows = print::rows(table, &extra, "");
        let text = Tabs::TABLE.align(&format!("{}{rows}", self.head));
        // The head was shown before; here it only lines up what follows.
        let known = self.head.lines().count();
        let new: String = text.split_inclusive('\n').skip(known).collect();
        print::out(&new);
        self.head = widest(&format!("{}{rows}", self.head));
    }
}

/// One line as wide, in every column, as the widest of these.
fn widest(rows: &str) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for line in rows.lines() {
        for (at, cell) in line.split('\t').enumerate() {
            let width = cell.chars().count();
            match widths.get_mut(at) {
                Some(widest) => *widest = width.max(*widest),
                None => widths.push(width),
            }
        }
    }
    let cells: Vec<String> = widths.iter().map(|width| "x".repeat(*width)).collect();
    cells.join("\t") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_rows_line_up_with_the_widest_of_the_first() {
        assert_eq!(widest("NAME\tAGE\nlonger\t1\n"), "xxxxxx\txxx\n");
    }
}

//! What the server has for people to read.

use std::cmp::Ordering;

use serde_json::Value;

use super::Get;
use crate::cluster::select::Target;
use crate::cluster::{Cluster, Resource, TABLE, full_name};
use crate::print::{self, Extra, Output, Tabs, Template, template::text_of};

impl Get {
    /// A table for each kind, a blank line between them.
    pub(super) async fn tables(
        &self,
        cluster: &Cluster,
        targets: &[Target],
        errors: &mut Vec<anyhow::Error>,
    ) {
        let is_mixed = targets.iter().any(|t| t.resource != targets[0].resource);
        let mut tables: Vec<(&Resource, String)> = Vec::new();
        for target in targets {
            let found = cluster.get_as(&self.path(cluster, target), TABLE).await;
            let Some(mut table) = self.noted(found, errors) else {
                continue;
            };
            if table["rows"].as_array().is_none_or(Vec::is_empty) {
                continue;
            }
            self.sort(&mut table);
            let last = tables.last_mut().filter(|(r, _)| *r == &target.resource);
            let extra = self.extra(&target.resource, last.is_some());
            let rows = print::rows(&table, &extra, &prefix(target, is_mixed));
            match last {
                Some((_, lines)) => lines.push_str(&rows),
                None => tables.push((&target.resource, rows)),
            }
        }
        let aligned: Vec<String> = tables.iter().map(|(_, t)| Tabs::TABLE.align(t)).collect();
        print::out(&aligned.join("\n"));
        if tables.is_empty() && errors.is_empty() && !self.ignore_not_found {
            self.say_nothing_found(cluster, targets);
        }
    }

    fn say_nothing_found(&self, cluster: &Cluster, targets: &[Target]) {
        let is_namespaced = targets.iter().any(|t| t.resource.namespaced);
        if self.all_namespaces || !is_namespaced {
            eprintln!("No resources found");
        } else {
            eprintln!("No resources found in {} namespace.", cluster.namespace);
        }
    }

    fn sort(&self, table: &mut Value) {
        if let (Some(path), Some(rows)) = (&self.sort_by, table["rows"].as_array_mut()) {
            rows.sort_by(|a, b| order(path, &a["object"], &b["object"]));
        }
    }

    pub(super) fn extra(&self, resource: &Resource, is_continued: bool) -> Extra {
        Extra {
            wide: self.output == Some(Output::Wide),
            namespace: self.all_namespaces && resource.namespaced,
            all_labels: self.show_labels,
            labels: self.label_columns.clone(),
            no_headers: self.no_headers || is_continued,
        }
    }
}

/// `pod/`, where one table follows another.
fn prefix(target: &Target, is_mixed: bool) -> String {
    if is_mixed {
        full_name(&target.resource, "")
    } else {
        String::new()
    }
}

/// By the field at `path`: numbers by size, others by their text.
pub(super) fn order(path: &Template, a: &Value, b: &Value) -> Ordering {
    let first = |object| path.values(object).first().copied();
    match (first(a), first(b)) {
        (Some(a), Some(b)) => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            _ => text_of(a).cmp(&text_of(b)),
        },
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

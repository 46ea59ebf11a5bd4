//! `skiff why`: how an object came to be as it is, from apply to running, with
//! the time of each step, and what it waits for now.
//!
//! Everything is read from the API: conditions, statuses, events. It says
//! nothing that is not there, and works with every Kubernetes.

mod facts;
mod moment;
mod timeline;
mod waiting;
mod workload;

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use self::facts::Facts;
use self::moment::Moment;
use crate::client::ClientFlags;
use crate::cluster::{Cluster, text};
use crate::print::{self, Tabs};

#[derive(Args)]
pub struct Why {
    #[command(flatten)]
    client: ClientFlags,

    /// TYPE/NAME or TYPE NAME, such as pod/web or deployment/web
    #[arg(required = true, value_name = "TYPE/NAME")]
    what: Vec<String>,
}

impl Why {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let cluster = Cluster::connect(&self.client).await?;
        let (resource, name) = cluster.target(&self.what)?;
        let path = cluster.path(&resource, Some(&cluster.namespace), Some(&name));
        let object = cluster.get(&path).await?;
        let told = match (resource.group.as_str(), resource.plural.as_str()) {
            ("", "pods") => pod(&cluster, object).await?,
            _ => workload::tell(&cluster, object).await?,
        };
        print::out(&told);
        Ok(ExitCode::SUCCESS)
    }
}

async fn pod(cluster: &Cluster, pod: Value) -> anyhow::Result<String> {
    let facts = Facts::gather(cluster, pod).await?;
    let waits = waiting::of(&facts);
    let mut page = format!(
        "pod {}/{}: {}\n\n",
        text(&facts.pod, "/metadata/namespace"),
        text(&facts.pod, "/metadata/name"),
        waiting::state(&facts, &waits),
    );
    page.push_str(&table(timeline::of(&facts)));
    page.push_str(&list("waits for:", &waits));
    page.push_str(&list("note:", &waiting::notes(&facts)));
    Ok(page)
}

/// The moments in their order, with the time of each and since the first.
fn table(mut moments: Vec<Moment>) -> String {
    moments.sort_by_key(Moment::order);
    let Some(first) = moments.first().map(|first| first.at) else {
        return String::new();
    };
    let mut lines = "TIME (UTC)\tAFTER\tWHAT\tDETAIL\n".to_owned();
    for moment in &moments {
        lines.push_str(&format!(
            "{}\t{}\t{}\t{}\n",
            moment.time(),
            moment.after(first),
            moment.what,
            one_line(&moment.detail),
        ));
    }
    Tabs::TABLE.align(&lines)
}

fn list(head: &str, points: &[String]) -> String {
    let mut lines = String::new();
    if !points.is_empty() {
        lines = format!("\n{head}\n");
    }
    for point in points {
        lines.push_str(&format!("  * {}\n", one_line(point)));
    }
    lines
}

/// What others wrote may hold line ends and tabs.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

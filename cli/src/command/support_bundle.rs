//! `skiff support-bundle`: what somebody far away needs to see of a machine and
//! its cluster, in one file, without its secrets.
//!
//! Everything is gathered and listed before anything is written. No part is
//! waited for long, none may be large, and none that fails keeps the others out.

mod archive;
mod cluster;
mod host;
mod secrets;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use self::archive::Archive;
use crate::client::ClientFlags;
use crate::cluster::Cluster;
use crate::print::{self, Tabs};

#[derive(Args)]
pub struct SupportBundle {
    #[command(flatten)]
    client: ClientFlags,

    /// File to write, which only its owner may read
    /// [default: skiff-support-TIME.tar.gz]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Only list what would be in it
    #[arg(long)]
    list: bool,

    /// Leave the objects of the cluster out
    #[arg(long)]
    no_objects: bool,
}

impl SupportBundle {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let now = jiff::Timestamp::now();
        let path = self.output.clone().unwrap_or_else(|| {
            format!("skiff-support-{}.tar.gz", now.strftime("%Y%m%dT%H%M%SZ")).into()
        });
        let mut archive = Archive::new(now);
        let about = json!({ "skiff": release::version(), "kubernetes": release::kubernetes(),
            "time": now.to_string(), "architecture": std::env::consts::ARCH });
        archive.add("about.json", about.to_string());
        host::gather(&mut archive, &self.client.instance.instance()?).await;
        match Cluster::connect(&self.client).await {
            Ok(cluster) => cluster::gather(&mut archive, &cluster, !self.no_objects).await,
            Err(error) => archive.missed("cluster", &format!("{error:#}")),
        }
        print::out(&listing(&archive));
        if !self.list {
            archive.write(&path)?;
            print::out(&format!("\nwritten to {}\n", path.display()));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn listing(archive: &Archive) -> String {
    let mut lines = "BYTES\tFILE\n".to_owned();
    for (name, bytes) in archive.files() {
        lines.push_str(&format!("{bytes}\t{name}\n"));
    }
    let mut text = Tabs::TABLE.align(&lines);
    for missed in archive.all_missed() {
        text.push_str(&format!("missing: {missed}\n"));
    }
    text
}

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::cluster::Place;
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use images::{Images, Reference};
use tokio::task::JoinSet;

use super::Which;
use crate::instance::Instance;

#[derive(Subcommand)]
pub enum Load {
    /// Import images from archives (docker save, OCI) or OCI layouts into nodes
    #[command(visible_alias = "image-archive")]
    Image(Image),
}

#[derive(Args)]
pub struct Image {
    /// Archives or layout directories
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Name for the image, in the place of the archive's
    #[arg(long = "as", value_name = "IMAGE")]
    name_as: Option<Reference>,

    /// Only into these nodes [default: all]
    #[arg(long, value_name = "NODE,...", value_delimiter = ',')]
    nodes: Vec<String>,

    #[command(flatten)]
    which: Which,
}

impl Load {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let Self::Image(image) = self;
        image.run().await
    }
}

impl Image {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let place = self.which.place()?;
        let mut imports = JoinSet::new();
        for node in self.nodes(&place)? {
            let dir = Instance::images_in(&place.data_dir(&node));
            let (paths, name) = (self.paths.clone(), self.name_as.clone());
            imports.spawn(async move {
                let imported = import(&dir, &paths, name.as_ref()).await;
                imported.with_context(|| format!("node {node}"))
            });
        }
        let mut loaded = Vec::new();
        while let Some(imported) = imports.join_next().await {
            loaded = imported??;
        }
        for name in loaded {
            println!("{name}");
        }
        Ok(ExitCode::SUCCESS)
    }

    fn nodes(&self, place: &Place) -> anyhow::Result<Vec<String>> {
        let plan = place.read()?;
        for name in &self.nodes {
            if plan.node(name).is_none() {
                bail!("cluster {} has no node {name:?}", plan.name);
            }
        }
        let all = plan.nodes.into_iter().map(|node| node.name);
        let is_wanted = |name: &String| self.nodes.is_empty() || self.nodes.contains(name);
        Ok(all.filter(is_wanted).collect())
    }
}

/// Into the node's own store: several processes may work on one.
async fn import(
    dir: &Path,
    paths: &[PathBuf],
    name: Option<&Reference>,
) -> anyhow::Result<Vec<String>> {
    let images = Images::open(dir)?;
    let mut names = Vec::new();
    for path in paths {
        let imported = images.import_as(path, name).await;
        let imported = imported.with_context(|| format!("import {}", path.display()))?;
        names.extend(imported.iter().map(|image| image.names.join(" ")));
    }
    Ok(names)
}

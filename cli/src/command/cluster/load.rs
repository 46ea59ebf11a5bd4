use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use ::cluster::Place;
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use images::{Images, Reference};
use tokio::task::JoinSet;

use super::Which;
use crate::instance::{DEFAULT_DATA_DIR, Instance};

#[derive(Subcommand)]
pub enum Load {
    /// Put images into nodes: from archives (docker save, OCI), OCI layouts, or this machine's own skiff by name
    #[command(visible_alias = "image-archive")]
    Image(Image),
}

#[derive(Args)]
pub struct Image {
    /// Archives, layout directories, or names of images that `skiff image ls` lists
    #[arg(required = true, value_name = "PATH|IMAGE")]
    images: Vec<String>,

    /// Whose images those with a name are
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA_DIR)]
    from_data_dir: PathBuf,

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
        let sources = self.sources().await?;
        let is_copied = |source: &Source| matches!(source, Source::Image(..));
        if self.name_as.is_some() && sources.iter().any(is_copied) {
            bail!("--as names what is in an archive; an image of this machine keeps its names");
        }
        let mut imports = JoinSet::new();
        for node in self.nodes(&place)? {
            let dir = Instance::images_in(&place.data_dir(&node));
            let (sources, name) = (sources.clone(), self.name_as.clone());
            imports.spawn(async move {
                let imported = import(&dir, &sources, name.as_ref()).await;
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

    /// What is no file is the name of an image.
    async fn sources(&self) -> anyhow::Result<Vec<Source>> {
        let mut sources = Vec::new();
        for wanted in &self.images {
            let path = PathBuf::from(wanted);
            sources.push(if path.exists() {
                Source::Archive(path)
            } else {
                self.named(wanted).await?
            });
        }
        Ok(sources)
    }

    async fn named(&self, name: &str) -> anyhow::Result<Source> {
        let dir = Instance::images_in(&self.from_data_dir);
        // Looking for an image makes no store.
        let found = if dir.exists() {
            let images = Images::open(&dir)?;
            let found = images.lookup(name).await?;
            found.map(|image| Source::Image(images, image))
        } else {
            None
        };
        found.with_context(|| {
            format!(
                "{name:?} is neither a file nor an image in {}; fetch it (skiff image pull {name}), or give an archive",
                dir.display()
            )
        })
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

/// Where an image comes from.
#[derive(Clone)]
enum Source {
    Archive(PathBuf),
    /// One of another store.
    Image(Images, Arc<images::Image>),
}

/// Into the node's own store: several processes may work on one.
async fn import(
    dir: &Path,
    sources: &[Source],
    name: Option<&Reference>,
) -> anyhow::Result<Vec<String>> {
    let images = Images::open(dir)?;
    let mut names = Vec::new();
    for source in sources {
        let imported = match source {
            Source::Archive(path) => {
                let imported = images.import_as(path, name).await;
                imported.with_context(|| format!("import {}", path.display()))?
            }
            Source::Image(from, image) => {
                let copied = images.copy_from(from, image).await;
                vec![copied.with_context(|| format!("copy {}", image.names.join(" ")))?]
            }
        };
        names.extend(imported.iter().map(|image| image.names.join(" ")));
    }
    Ok(names)
}

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use images::{Image, Images, Reference};

use crate::instance::InstanceFlags;
use crate::{preflight, registries};

/// `skiff image`: the images on this machine.
#[derive(Subcommand)]
pub enum ImageCommand {
    /// List images
    Ls(Ls),
    /// Fetch images from their registries
    Pull(Pull),
    /// Import images from an archive (docker save, OCI) or an OCI layout
    #[command(visible_alias = "load")]
    Import(Import),
    /// Fetch images from their registries into an archive, for machines that reach none
    Save(Save),
    /// Make an image of one static binary, with nothing else in it
    Build(Build),
    /// Have images stay when the disk is full and nobody uses them
    Pin(Named),
    /// Have images go again when the disk is full and nobody uses them
    Unpin(Named),
    /// Remove images
    Rm(Named),
}

#[derive(Args)]
pub struct Ls {
    #[command(flatten)]
    instance: InstanceFlags,
}

#[derive(Args)]
pub struct Pull {
    #[command(flatten)]
    named: Named,

    /// Mirrors, credentials and authorities of registries, as k3s' registries.yaml
    /// [default: /etc/skiff/registries.yaml if there is one, unless --data-dir is given]
    #[arg(long, value_name = "FILE")]
    registries: Option<PathBuf>,
}

#[derive(Args)]
pub struct Save {
    #[command(flatten)]
    from: Pull,

    /// The archive to write
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Args)]
pub struct Named {
    #[command(flatten)]
    instance: InstanceFlags,

    /// Images, such as docker.io/library/nginx:1
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

#[derive(Args)]
pub struct Import {
    #[command(flatten)]
    instance: InstanceFlags,

    /// Archives or layout directories
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Name that the (one) image gets instead of the archive's
    #[arg(long = "as", value_name = "IMAGE")]
    name: Option<Reference>,
}

#[derive(Args)]
pub struct Build {
    #[command(flatten)]
    instance: InstanceFlags,

    /// Name of the image to make
    #[arg(long, short = 't', value_name = "IMAGE")]
    tag: String,

    /// The binary [default: skiff itself]
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,

    /// Arguments that the binary is run with
    #[arg(last = true, value_name = "ARG")]
    args: Vec<String>,
}

impl ImageCommand {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        preflight::check_root()?;
        match self {
            Self::Ls(ls) => print(&open(&ls.instance)?.list().await?),
            Self::Pull(wanted) => pull(&wanted).await?,
            Self::Import(import) => self::import(&import).await?,
            Self::Save(save) => self::save(&save).await?,
            Self::Build(build) => self::build(build).await?,
            Self::Pin(named) => pin(&named, true).await?,
            Self::Unpin(named) => pin(&named, false).await?,
            Self::Rm(named) => remove(&named).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn open(flags: &InstanceFlags) -> anyhow::Result<Images> {
    let instance = flags.instance()?;
    Ok(Images::open(instance.images_dir())?)
}

impl Pull {
    fn open(&self) -> anyhow::Result<Images> {
        let instance = self.named.instance.instance()?;
        registries::images(&instance, self.registries.as_deref())
    }
}

async fn save(save: &Save) -> anyhow::Result<()> {
    let names = save.from.named.images.iter();
    let names: Result<Vec<Reference>, _> = names.map(|name| name.parse()).collect();
    Ok(save.from.open()?.save(&names?, &save.output).await?)
}

async fn pull(wanted: &Pull) -> anyhow::Result<()> {
    let images = wanted.open()?;
    for name in &wanted.named.images {
        let image = images.pull(&name.parse::<Reference>()?, None).await?;
        println!("{}", image.id);
    }
    Ok(())
}

async fn import(import: &Import) -> anyhow::Result<()> {
    let images = open(&import.instance)?;
    for path in &import.paths {
        let imported = images.import_as(path, import.name.as_ref()).await;
        for image in imported.with_context(|| format!("import {}", path.display()))? {
            println!("{}", image.names.join(" "));
        }
    }
    Ok(())
}

async fn build(build: Build) -> anyhow::Result<()> {
    let binary = match build.binary {
        Some(binary) => binary,
        None => std::env::current_exe().context("find skiff's own file")?,
    };
    let file = binary.file_name().context("--binary names no file")?;
    let at = format!("/{}", file.to_string_lossy());
    let args: Vec<&str> = build.args.iter().map(String::as_str).collect();
    let built = images::build::from_binary(build.tag.parse()?, &binary, &at, &args);
    let image = open(&build.instance)?.add(built).await?;
    println!("{}", image.names.join(" "));
    Ok(())
}

async fn pin(named: &Named, is_pinned: bool) -> anyhow::Result<()> {
    let images = open(&named.instance)?;
    for name in &named.images {
        images.pin(name, is_pinned).await?;
        let word = if is_pinned { "pinned" } else { "unpinned" };
        println!("{name} {word}");
    }
    Ok(())
}

async fn remove(named: &Named) -> anyhow::Result<()> {
    let images = open(&named.instance)?;
    for name in &named.images {
        images.remove(name).await?;
        println!("{name} removed");
    }
    Ok(())
}

fn print(images: &[impl AsRef<Image>]) {
    let mut rows = vec![["IMAGE".to_owned(), "ID".to_owned(), "SIZE".to_owned()]];
    for image in images.iter().map(AsRef::as_ref) {
        for name in &image.names {
            let id = image.id.to_string();
            let short = id.trim_start_matches("sha256:").chars().take(12).collect();
            let size = format!("{:.1} MB", image.size as f64 / 1e6);
            rows.push([name.clone(), short, size]);
        }
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    for [name, id, size] in &rows {
        println!("{name:first$}   {id:second$}   {size}");
    }
}

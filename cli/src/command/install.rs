//! `skiff install`: skiff as a service that starts with the machine.
//!
//! Three files are all it is made of: the binary, its settings, and the unit.
//! Installing again changes what differs and starts again what that concerns.

mod file;
mod settings;
mod start;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};

use super::{agent, server, up};
use crate::config_file;
use crate::preflight;
use crate::service::{self, Role};
use file::{Contents, File};
use settings::Settings;

#[derive(Subcommand)]
pub enum Install {
    /// A whole cluster on this machine: server and node in one service
    Up(Box<Of<up::Up>>),
    /// The server of a cluster
    Server(Box<Of<server::Server>>),
    /// A node of the cluster at --server
    Agent(Box<Of<agent::Agent>>),
}

/// How to install, and the flags that the service is to have.
#[derive(Args)]
pub struct Of<T: Args> {
    #[command(flatten)]
    how: How,
    // Checked by being here, and written down by their names.
    #[command(flatten)]
    flags: T,
}

#[derive(Args)]
pub struct How {
    /// Install into the system below this directory, and start nothing
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,

    /// Only show what would be written
    #[arg(long)]
    dry_run: bool,

    /// Let it start with the machine, but not now
    #[arg(long)]
    no_start: bool,
}

impl Install {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let (role, how) = match self {
            Self::Up(of) => (Role::Up, of.how),
            Self::Server(of) => (Role::Server, of.how),
            Self::Agent(of) => (Role::Agent, of.how),
        };
        let settings = Settings::of_this_command_line(role)?;
        let files = files(role, &how, &settings);
        if how.dry_run {
            files.iter().for_each(|file| file.show(&settings));
            return Ok(ExitCode::SUCCESS);
        }
        if how.root.is_none() {
            preflight::check_root()?;
        }
        check_role(role, how.root.as_deref())?;
        let mut has_changed = false;
        for file in &files {
            has_changed |= file.put()?;
        }
        match &how.root {
            Some(root) => start::at_next_boot(role, root),
            None => start::now(role, &how, &settings, has_changed),
        }
    }
}

/// A machine is one thing for one cluster: both would want the same data directory.
fn check_role(role: Role, root: Option<&Path>) -> anyhow::Result<()> {
    let root = root.unwrap_or(Path::new("/"));
    let is_other = |other: &Role| *other != role && other.is_linked_in(root);
    if let Some(other) = Role::ALL.into_iter().find(is_other) {
        bail!(
            "this machine is installed as skiff {}; remove that first: skiff uninstall",
            other.command()
        );
    }
    Ok(())
}

/// All that installing makes. The Debian package has made the binary and the unit itself.
fn files(role: Role, how: &How, settings: &Settings) -> Vec<File> {
    let root = how.root.as_deref();
    let mut files = Vec::new();
    if root.is_some() || !is_packaged(role) {
        files.push(File {
            path: below(root, Path::new(service::BINARY)),
            contents: Contents::OwnBinary,
        });
        files.push(File {
            path: below(root, &role.unit_path()),
            contents: Contents::Public(role.unit_text().to_owned()),
        });
    }
    files.push(File {
        path: config_file::installed_path(root),
        contents: Contents::Private(settings.text.clone()),
    });
    files
}

/// Whether this very program came with its units from a package.
fn is_packaged(role: Role) -> bool {
    let own = std::env::current_exe();
    own.is_ok_and(|own| own == Path::new(service::PACKAGED_BINARY)) && role.is_packaged()
}

fn below(root: Option<&Path>, path: &Path) -> PathBuf {
    match (root, path.strip_prefix("/")) {
        (Some(root), Ok(path)) => root.join(path),
        _ => path.to_owned(),
    }
}

//! `skiff uninstall`: the machine as it was before `skiff install`.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::reset;
use crate::config_file;
use crate::instance::InstanceFlags;
use crate::preflight;
use crate::service::{self, Init, Role};

#[derive(Args)]
pub struct Uninstall {
    #[command(flatten)]
    instance: InstanceFlags,

    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

impl Uninstall {
    pub async fn run(mut self) -> anyhow::Result<ExitCode> {
        preflight::check_root()?;
        if let Some(dir) = config_file::installed_data_dir() {
            self.instance.data_dir = dir;
        }
        let instance = self.instance.instance()?;
        if !self.yes && !reset::is_agreed(&instance)? {
            println!("nothing was changed");
            return Ok(ExitCode::FAILURE);
        }
        let has_systemd = Init::of_this_machine() == Init::Systemd;
        if has_systemd {
            stop_services()?;
        }
        reset::remove_all(&instance).await?;
        remove_files()?;
        if has_systemd {
            forget_services()?;
        }
        say_what_is_left();
        Ok(ExitCode::SUCCESS)
    }
}

fn is_known(role: &Role) -> bool {
    role.unit_path().exists() || role.is_packaged()
}

fn stop_services() -> anyhow::Result<()> {
    for role in Role::ALL.iter().filter(|role| is_known(role)) {
        service::systemctl(&["disable", "--now", role.unit()])?;
    }
    Ok(())
}

fn remove_files() -> anyhow::Result<()> {
    let units = Role::ALL.iter().map(|role| role.unit_path());
    let binary = Path::new(service::BINARY);
    let kept = [binary, Path::new(service::PACKAGED_BINARY)].map(service::kept_beside);
    let ours = [binary.to_owned(), config_file::PATH.into()];
    for path in units.chain(ours).chain(kept) {
        match fs::remove_file(&path) {
            Ok(()) => println!("removed {}", path.display()),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("remove {}", path.display()));
            }
        }
    }
    Ok(())
}

fn forget_services() -> anyhow::Result<()> {
    service::systemctl(&["daemon-reload"])?;
    for role in Role::ALL {
        // systemd may not remember it at all.
        let _ = service::systemctl(&["reset-failed", role.unit()]);
    }
    Ok(())
}

/// What somebody else put beside our files is not ours to remove.
fn say_what_is_left() {
    let dir = Path::new(config_file::PATH)
        .parent()
        .unwrap_or(Path::new("/"));
    if dir.exists() && fs::remove_dir(dir).is_err() {
        println!(
            "{} holds files that skiff did not make; it stays",
            dir.display()
        );
    }
    if Role::ALL.into_iter().any(Role::is_packaged) {
        println!("the Debian package stays; remove it: apt-get purge skiff");
    }
}

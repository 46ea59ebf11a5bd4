//! What follows the files: the service is enabled and started, or it is said how.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};

use super::How;
use super::settings::Settings;
use crate::config_file;
use crate::service::{self, Init, Role};

/// In a file system that is not this machine's there is nothing to start.
pub fn at_next_boot(role: Role, root: &Path) -> anyhow::Result<ExitCode> {
    let link = root.join(role.link());
    if link.symlink_metadata().is_err() {
        let dir = link.parent().context("a link is in a directory")?;
        std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        std::os::unix::fs::symlink(role.unit_path(), &link)
            .with_context(|| format!("link {}", link.display()))?;
    }
    println!(
        "{} starts when the system in {} does",
        role.unit(),
        root.display()
    );
    Ok(ExitCode::SUCCESS)
}

pub fn now(
    role: Role,
    how: &How,
    settings: &Settings,
    has_changed: bool,
) -> anyhow::Result<ExitCode> {
    match Init::of_this_machine() {
        Init::Systemd => by_systemd(role, how, settings, has_changed),
        Init::OpenRc => Ok(tell_openrc(role)),
        Init::Other => Ok(tell_others(role)),
    }
}

fn by_systemd(
    role: Role,
    how: &How,
    settings: &Settings,
    has_changed: bool,
) -> anyhow::Result<ExitCode> {
    let unit = role.unit();
    service::systemctl(&["daemon-reload"])?;
    service::systemctl(&["enable", unit])?;
    if how.no_start {
        println!("{unit} starts with the machine; now: systemctl start {unit}");
        return Ok(ExitCode::SUCCESS);
    }
    let verb = if has_changed { "restart" } else { "start" };
    println!("{unit}: {verb}, and wait until it is ready");
    if let Err(error) = service::systemctl(&[verb, unit]) {
        bail!(
            "{error:#}\nwhat it said last:\n{}\nsystemd tries again every other second; when the cause is mended, install again, \
             or remove it: skiff uninstall",
            service::last_log_lines(unit).trim_end()
        );
    }
    println!("{unit}: {}", service::property(unit, "StatusText"));
    say_next(role, settings);
    Ok(ExitCode::SUCCESS)
}

fn say_next(role: Role, settings: &Settings) {
    if role == Role::Agent {
        return;
    }
    let dir = settings.data_dir.display();
    println!("next:");
    println!("  export KUBECONFIG={dir}/admin.kubeconfig");
    println!("  kubectl get nodes          (or, without kubectl: skiff get nodes)");
    println!(
        "  skiff token create --data-dir {dir}     (for: skiff install agent --server URL --token TOKEN)"
    );
}

fn tell_openrc(role: Role) -> ExitCode {
    let name = format!("skiff-{}", role.command());
    println!(
        "this machine has OpenRC, for which skiff makes no service by itself. Write this to /etc/init.d/{name}:\n"
    );
    println!("{}", role.openrc_text());
    println!("then:\n");
    println!("  chmod 755 /etc/init.d/{name}");
    println!("  rc-update add cgroups default && rc-service cgroups start");
    println!("  rc-update add {name} default && rc-service {name} start");
    not_started()
}

fn tell_others(role: Role) -> ExitCode {
    println!("this machine has neither systemd nor OpenRC. Have what starts its services run\n");
    println!(
        "  {} {} --config {}\n",
        service::BINARY,
        role.command(),
        config_file::PATH
    );
    println!("as root, in no namespace or control group of its own, and");
    println!("  start it again whenever it ends;");
    println!("  end it by SIGTERM to that one process: its children are pods, and go on;");
    println!("  mount cgroups on /sys/fs/cgroup before it starts.");
    not_started()
}

/// Files are there, the service is not: scripts must not take that for done.
fn not_started() -> ExitCode {
    println!("\nNothing was started.");
    ExitCode::FAILURE
}

//! Is a file a skiff for this machine, and which?

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use release::Version;
use tokio::process::Command;

/// A program that has not told its version by then is not skiff.
const PATIENCE: Duration = Duration::from_secs(20);

/// What an ELF file is for: class, byte order and processor (elf(5)).
#[derive(Debug, PartialEq, Eq)]
struct Machine([u8; 4]);

/// # Errors
/// The file is no program for this machine.
pub fn check_machine(path: &Path) -> anyhow::Result<()> {
    let machine = machine_of(path)?;
    let own = machine_of(Path::new("/proc/self/exe"))?;
    ensure!(
        machine == own,
        "{} is a program for another kind of machine than this ({})",
        path.display(),
        std::env::consts::ARCH
    );
    Ok(())
}

fn machine_of(path: &Path) -> anyhow::Result<Machine> {
    let name = path.display();
    let mut head = [0; 20];
    let mut file = File::open(path).with_context(|| format!("open {name}"))?;
    let read = file.read_exact(&mut head);
    ensure!(
        read.is_ok() && head.starts_with(b"\x7fELF"),
        "{name} is not a program for Linux (no ELF file)"
    );
    Ok(Machine([head[4], head[5], head[18], head[19]]))
}

/// Runs the program and reads what it says that it is.
///
/// # Errors
/// It cannot be run, or is not skiff.
pub async fn version_of(path: &Path) -> anyhow::Result<Version> {
    let name = path.display();
    let running = Command::new(path)
        .arg("--version")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ended = tokio::time::timeout(PATIENCE, running).await;
    let output = ended
        .with_context(|| format!("{name} --version did not end within {PATIENCE:?}"))?
        .with_context(|| format!("run {name} --version"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let version = parse(&said).filter(|_| output.status.success());
    version.with_context(|| {
        format!(
            "{name} does not say that it is skiff, but {:?}",
            start(&said)
        )
    })
}

fn start(said: &str) -> String {
    said.chars().take(80).collect()
}

/// Reads `skiff 1.2.3`.
fn parse(said: &str) -> Option<Version> {
    let version = said.trim().strip_prefix("skiff ")?;
    version.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn only_skiff_has_a_version() {
        let version = parse("skiff 0.10.0-rc1 (x)\n").unwrap();
        assert_eq!(version.to_string(), "0.10.0");
        for wrong in ["", "skiff", "skiff 1.2", "runc 1.2.3"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_programs_for_this_machine_pass() {
        check_machine(Path::new("/proc/self/exe")).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        assert!(
            check_machine(&path)
                .unwrap_err()
                .to_string()
                .contains("no ELF file")
        );
        let mut other = std::fs::read("/proc/self/exe").unwrap()[..64].to_vec();
        other[18] ^= 0xff;
        std::fs::write(&path, other).unwrap();
        assert!(
            check_machine(&path)
                .unwrap_err()
                .to_string()
                .contains("another kind of machine")
        );
    }

    #[tokio::test]
    async fn a_program_that_is_not_skiff_is_named_with_what_it_says() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, "#!/bin/sh\necho hello\n").unwrap();
        let refused = version_of(&path).await.unwrap_err();
        assert!(
            format!("{refused:#}").contains("--version"),
            "it may not be run: {refused:#}"
        );
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let refused = version_of(&path).await.unwrap_err().to_string();
        assert!(refused.contains("hello"), "{refused}");
    }
}

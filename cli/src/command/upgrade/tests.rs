use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Mutex;

/// One service, which comes up only with these versions.
struct Service {
    target: PathBuf,
    works_with: &'static [&'static str],
    restarts: Mutex<Vec<String>>,
}

impl Units for Service {
    async fn active(&self) -> anyhow::Result<Vec<String>> {
        Ok(vec!["skiff-server.service".into()])
    }

    async fn restart(&self, _: &str) -> anyhow::Result<()> {
        let version = binary::version_of(&self.target).await?.to_string();
        self.restarts.lock().unwrap().push(version);
        Ok(())
    }

    async fn ready(&self, unit: &str) -> anyhow::Result<()> {
        let version = self.restarts.lock().unwrap().last().cloned().unwrap();
        ensure!(
            self.works_with.contains(&version.as_str()),
            "{unit} is failed"
        );
        Ok(())
    }
}

fn program(path: &Path, version: &str) {
    fs::write(path, format!("#!/bin/sh\necho skiff {version}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

struct Outcome {
    result: Result<ExitCode, String>,
    installed: String,
    restarts: Vec<String>,
}

async fn upgrade(
    from: &str,
    to: &str,
    works_with: &'static [&'static str],
    flags: &[&str],
) -> Outcome {
    let dir = tempfile::tempdir().unwrap();
    let (target, new) = (dir.path().join("skiff"), dir.path().join("new-skiff"));
    program(&target, from);
    program(&new, to);
    let upgrade = Upgrade {
        binary: new.clone(),
        target: Some(target.clone()),
        timeout: Duration::from_secs(60),
        allow_downgrade: flags.contains(&"--allow-downgrade"),
        no_restart: false,
        check: flags.contains(&"--check"),
    };
    let service = Service {
        target: target.clone(),
        works_with,
        restarts: Mutex::default(),
    };
    let swap = Swap::stage(&new, &target).unwrap();
    let result = upgrade.install(&swap, &service).await;
    swap.clean();
    let installed = binary::version_of(&target).await.unwrap().to_string();
    let restarts = service.restarts.into_inner().unwrap();
    Outcome {
        result: result.map_err(|error| format!("{error:#}")),
        installed,
        restarts,
    }
}

#[tokio::test]
async fn a_version_that_comes_up_stays() {
    let outcome = upgrade("0.1.0", "0.2.0", &["0.2.0"], &[]).await;
    assert_eq!(outcome.result, Ok(ExitCode::SUCCESS));
    assert_eq!(outcome.installed, "0.2.0");
    assert_eq!(outcome.restarts, ["0.2.0"]);
}

#[tokio::test]
async fn a_version_that_does_not_come_up_makes_room_for_the_old_one() {
    let outcome = upgrade("0.1.0", "0.2.0", &["0.1.0"], &[]).await;
    assert_eq!(
        outcome.result,
        Err("skiff 0.2.0 did not come up; skiff 0.1.0 is back and runs".into())
    );
    assert_eq!(outcome.installed, "0.1.0");
    assert_eq!(outcome.restarts, ["0.2.0", "0.1.0"]);
}

#[tokio::test]
async fn a_version_too_far_away_changes_nothing() {
    for (to, why) in [
        ("0.3.0", "more than one minor"),
        ("1.1.0", "more than one minor"),
        ("0.0.9", "older"),
    ] {
        let outcome = upgrade("0.1.0", to, &[], &[]).await;
        assert!(outcome.result.unwrap_err().contains(why), "{to}");
        assert_eq!(
            (outcome.installed.as_str(), outcome.restarts.len()),
            ("0.1.0", 0)
        );
    }
    let down = upgrade("0.1.0", "0.0.9", &["0.0.9"], &["--allow-downgrade"]).await;
    assert_eq!(down.installed, "0.0.9");
}

#[tokio::test]
async fn a_check_changes_nothing() {
    let outcome = upgrade("0.1.0", "0.1.1", &[], &["--check"]).await;
    assert_eq!(outcome.result, Ok(ExitCode::SUCCESS));
    assert_eq!(outcome.installed, "0.1.0");
}

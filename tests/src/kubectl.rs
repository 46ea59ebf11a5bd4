//! The real kubectl.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::machine::Machine;
use crate::{run, until};

pub struct Kubectl<'m> {
    machine: &'m Machine,
    kubeconfig: PathBuf,
}

impl<'m> Kubectl<'m> {
    pub fn new(machine: &'m Machine, kubeconfig: PathBuf) -> Self {
        Self {
            machine,
            kubeconfig,
        }
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.machine.command("kubectl");
        // Discovery is cached per home; tests must not see one another's.
        command.env("HOME", self.kubeconfig.with_extension("home"));
        command.env("KUBECONFIG", &self.kubeconfig).args(args);
        command
    }

    /// Runs it; a failure fails the test.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> String {
        run::ok(&mut self.command(args))
    }

    /// Runs it, which must fail, and returns what it said.
    #[track_caller]
    pub fn fails(&self, args: &[&str]) -> String {
        run::fails(&mut self.command(args))
    }

    /// Feeds `manifest` to `kubectl apply -f -`.
    #[track_caller]
    pub fn apply(&self, manifest: &Value) -> String {
        let file = self
            .kubeconfig
            .with_extension(format!("{:?}.json", std::thread::current().id()));
        std::fs::write(&file, manifest.to_string()).expect("write the manifest");
        let output = self.ok(&["apply", "-f", &file.display().to_string()]);
        let _ = std::fs::remove_file(file);
        output
    }

    /// The object as JSON; null where there is none.
    pub fn get(&self, what: &[&str]) -> Value {
        let mut args = vec!["get", "-o", "json"];
        args.extend(what);
        let output = run::output(&mut self.command(&args));
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// Waits until `holds` of the object.
    #[track_caller]
    pub fn wait(&self, what: &[&str], limit: Duration, holds: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let end = std::time::Instant::now() + limit;
        loop {
            let object = self.get(what);
            if holds(&object) {
                return object;
            }
            if object != Value::Null {
                last = object;
            }
            if std::time::Instant::now() > end {
                let events = self.ok(&["get", "events", "-A"]);
                panic!(
                    "waited {limit:?} in vain for {what:?}; last seen:\n{last:#}\nevents:\n{events}"
                );
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until a pod's containers are all ready.
    #[track_caller]
    pub fn wait_ready(&self, pod: &str) -> Value {
        self.wait(&["pod", pod], Duration::from_secs(60), is_ready)
    }

    /// Waits until nothing is found.
    #[track_caller]
    pub fn wait_gone(&self, what: &[&str], limit: Duration) {
        let mut args = vec!["get", "--ignore-not-found", "-o", "name"];
        args.extend(what);
        until(&format!("{what:?} is gone"), limit, || {
            let output = run::output(&mut self.command(&args));
            (output.status.success() && output.stdout.is_empty()).then_some(())
        });
    }
}

/// Whether a pod's condition Ready is True.
pub fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.is_some_and(|c| {
        c.iter()
            .any(|c| c["type"] == "Ready" && c["status"] == "True")
    })
}

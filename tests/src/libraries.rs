//! Kubernetes' client libraries of other languages, from their own registries.

use std::path::PathBuf;
use std::process::Command;

use crate::cache::cached;
use crate::run;

/// A folder for `PYTHONPATH` with the client of Python.
pub fn python() -> PathBuf {
    cached("python-kubernetes-37", |out| {
        let mut pip = Command::new("python3");
        // Into a folder of our own, which Debian's pip takes for the system's.
        pip.env("PIP_BREAK_SYSTEM_PACKAGES", "1");
        pip.args(["-m", "pip", "install", "--quiet", "--no-input"]);
        pip.args(["kubernetes==37.0.2", "--target"]).arg(out);
        run::ok(&mut pip);
    })
}

/// A folder with `node_modules` and the client of JavaScript in it.
pub fn javascript() -> PathBuf {
    cached("javascript-client-node-1", |out| {
        std::fs::create_dir(out).expect("create a folder");
        let mut npm = Command::new("npm");
        npm.current_dir(out);
        npm.args(["install", "--no-audit", "--no-fund", "--silent"]);
        run::ok(npm.arg("@kubernetes/client-node@1.4.0"));
    })
}

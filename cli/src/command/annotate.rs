use std::process::ExitCode;

use anyhow::bail;
use apimachinery::names;
use clap::Args;

use super::key_values::{KeyValues, Metadata};

/// `skiff annotate`: change the annotations of objects.
#[derive(Args)]
pub struct Annotate {
    #[command(flatten)]
    flags: KeyValues,
}

const ANNOTATIONS: Metadata = Metadata {
    field: "annotations",
    check,
    said: |_, _, _| "annotated",
    refused,
};

impl Annotate {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        self.flags.run(&ANNOTATIONS).await
    }
}

fn check(key: &str, _value: &str) -> anyhow::Result<()> {
    // Letters of either case are allowed here, and the same to Kubernetes.
    match names::qualified(&key.to_lowercase()).first() {
        Some(problem) => bail!("invalid annotation key: {key:?}: {problem}"),
        None => Ok(()),
    }
}

fn refused(taken: &[(String, String)]) -> String {
    let one = |(key, value): &(String, String)| format!("'{key}' already has a value ({value})");
    let all: Vec<String> = taken.iter().map(one).collect();
    format!(
        "--overwrite is false but found the following declared annotation(s): {}",
        all.join("; ")
    )
}

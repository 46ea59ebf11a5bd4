use std::process::ExitCode;

use anyhow::bail;
use apimachinery::names;
use clap::Args;

use super::key_values::{Entries, KeyValues, Metadata};

/// `skiff label`: change the labels of objects.
#[derive(Args)]
pub struct Label {
    #[command(flatten)]
    flags: KeyValues,
}

const LABELS: Metadata = Metadata {
    field: "labels",
    check,
    said,
    refused,
};

impl Label {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        self.flags.run(&LABELS).await
    }
}

fn check(key: &str, value: &str) -> anyhow::Result<()> {
    if let Some(problem) = names::qualified(key).first() {
        bail!("invalid label key: {key:?}: {problem}");
    }
    if let Some(problem) = names::label_value(value).first() {
        bail!("invalid label value: {value:?}: {problem}");
    }
    Ok(())
}

fn said(before: &Entries, after: &Entries, overwrite: bool) -> &'static str {
    if before == after {
        "not labeled"
    } else if !overwrite && after.len() < before.len() {
        "unlabeled"
    } else {
        "labeled"
    }
}

fn refused(taken: &[(String, String)]) -> String {
    let one = |(key, value): &(String, String)| {
        format!("'{key}' already has a value ({value}), and --overwrite is false")
    };
    let all: Vec<String> = taken.iter().map(one).collect();
    match all.as_slice() {
        [only] => only.clone(),
        several => format!("[{}]", several.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_label_is_refused_before_anything_is_changed() {
        assert!(check("app.kubernetes.io/name", "web").is_ok());
        assert!(check("a/b/c", "web").is_err());
        let long = check("app", &"x".repeat(64)).unwrap_err().to_string();
        assert!(long.starts_with("invalid label value: \"xxx"), "{long}");
    }

    #[test]
    fn what_is_said_tells_what_became_of_the_labels() {
        let one = Entries::from([("a".to_owned(), "1".to_owned())]);
        let none = Entries::new();
        assert_eq!(said(&none, &one, false), "labeled");
        assert_eq!(said(&one, &one, false), "not labeled");
        assert_eq!(said(&one, &none, false), "unlabeled");
    }
}

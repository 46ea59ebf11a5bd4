//! What a node says of itself when the cluster first sees it, under kubelet's flags.

use std::collections::BTreeMap;

use clap::Args;
use k8s_openapi::api::core::v1::Taint;

#[derive(Args, Clone, Debug)]
pub struct RegistrationFlags {
    /// Labels that this node registers with
    #[arg(long, value_name = "KEY=VALUE,...", value_delimiter = ',', value_parser = parse_label)]
    pub node_labels: Vec<(String, String)>,

    /// Taints that this node registers with
    #[arg(long, value_name = "KEY=VALUE:EFFECT,...", value_delimiter = ',', value_parser = parse_taint)]
    pub register_with_taints: Vec<Taint>,
}

impl RegistrationFlags {
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.node_labels.iter().cloned().collect()
    }
}

fn parse_label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    let problems = apimachinery::names::qualified(key).into_iter();
    let problems = problems.chain(apimachinery::names::label_value(value));
    match problems.reduce(|all, problem| format!("{all}; {problem}")) {
        None => Ok((key.to_owned(), value.to_owned())),
        Some(problems) => Err(problems),
    }
}

fn parse_taint(text: &str) -> Result<Taint, String> {
    const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
    let (label, effect) = text.rsplit_once(':').unwrap_or((text, ""));
    if !EFFECTS.contains(&effect) {
        return Err(format!(
            "{text:?} has no effect after a colon: one of {}",
            EFFECTS.join(", ")
        ));
    }
    let (key, value) = parse_label(label)?;
    Ok(Taint {
        effect: effect.to_owned(),
        key,
        value: (!value.is_empty()).then_some(value),
        ..Taint::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taints_are_those_that_kubelets_flag_takes() {
        let taint = parse_taint("example.com/gpu=yes:NoSchedule").unwrap();
        assert_eq!(taint.key, "example.com/gpu");
        assert_eq!(taint.value.as_deref(), Some("yes"));
        assert_eq!(parse_taint("gpu:NoExecute").unwrap().value, None);
        assert!(parse_taint("gpu").unwrap_err().contains("NoSchedule"));
        assert!(parse_taint("a b:NoExecute").is_err());
    }

    #[test]
    fn label_without_a_value_has_an_empty_one() {
        assert_eq!(parse_label("zone").unwrap(), ("zone".into(), String::new()));
        assert!(parse_label("-a=b").is_err());
    }
}

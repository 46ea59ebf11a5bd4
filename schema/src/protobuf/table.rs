//! The field numbers of Kubernetes' protobuf messages.

use std::collections::HashMap;
use std::sync::OnceLock;

/// One line a definition, without `io.k8s.`.
const TEXT: &str = include_str!("fields.txt");

pub(super) type Row = Vec<(u32, Target)>;

/// What a field number stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Target {
    /// The JSON field of that name.
    Field(&'static str),
    /// An embedded struct, whose definition this is.
    Embedded(&'static str),
}

/// The row of a definition (`io.k8s.api.core.v1.Pod`). Read on first use, which
/// many clusters never come to.
pub(super) fn row(definition: &str) -> Option<&'static Row> {
    static ROWS: OnceLock<HashMap<&str, Row>> = OnceLock::new();
    let rows = ROWS.get_or_init(|| TEXT.lines().filter_map(parse).collect());
    rows.get(definition.strip_prefix("io.k8s.").unwrap_or(definition))
}

fn parse(line: &'static str) -> Option<(&'static str, Row)> {
    let mut words = line.split(' ');
    let definition = words.next()?;
    let target = |word: &'static str| {
        let (name, number) = word.rsplit_once('=')?;
        let target = match name.strip_prefix('>') {
            Some(embedded) => Target::Embedded(embedded),
            None => Target::Field(name),
        };
        Some((number.parse().ok()?, target))
    };
    Some((definition, words.filter_map(target).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Node;

    #[test]
    fn every_row_is_read_whole_and_embedded_definitions_have_rows() {
        for line in TEXT.lines() {
            let (definition, row) = parse(line).expect("a row");
            assert_eq!(row.len(), line.split(' ').count() - 1, "{definition}");
            for (_, target) in row {
                if let Target::Embedded(embedded) = target {
                    assert!(super::row(embedded).is_some(), "{embedded}");
                }
            }
        }
    }

    #[test]
    fn what_kubectl_creates_has_rows() {
        for (group, version, kind) in [
            ("", "v1", "Namespace"),
            ("", "v1", "ConfigMap"),
            ("", "v1", "Secret"),
            ("", "v1", "Service"),
            ("", "v1", "ServiceAccount"),
            ("", "v1", "DeleteOptions"),
            ("apps", "v1", "Deployment"),
            ("batch", "v1", "CronJob"),
            ("networking.k8s.io", "v1", "Ingress"),
            ("policy", "v1", "Eviction"),
            ("rbac.authorization.k8s.io", "v1", "ClusterRole"),
            ("authentication.k8s.io", "v1", "TokenRequest"),
        ] {
            let Some(Node::Object(object)) = crate::of(group, version, kind) else {
                panic!("{kind} is no object");
            };
            assert!(row(object.name()).is_some(), "{kind}");
        }
    }
}

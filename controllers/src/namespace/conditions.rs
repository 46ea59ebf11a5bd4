//! What a namespace that does not end says about it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::NamespaceCondition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::content::Remains;

/// The conditions that tell of `remains`; those that say the same as before
/// keep their time.
pub fn of(
    remains: &Remains,
    known: &[NamespaceCondition],
    now: jiff::Timestamp,
) -> Vec<NamespaceCondition> {
    let fresh = [
        discovery(remains),
        condition(
            "NamespaceDeletionGroupVersionParsingFailure",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
            None,
        ),
        failures(remains),
        objects(remains),
        finalizers(remains),
    ];
    let ours = |c: &NamespaceCondition| fresh.iter().any(|f| f.type_ == c.type_);
    let foreign = known.iter().filter(|c| !ours(c)).cloned();
    let settled = fresh.iter().map(|new| {
        let old = known.iter().find(|c| c.type_ == new.type_);
        settle(new.clone(), old, now)
    });
    foreign.chain(settled).collect()
}

fn settle(
    mut new: NamespaceCondition,
    old: Option<&NamespaceCondition>,
    now: jiff::Timestamp,
) -> NamespaceCondition {
    let same = old.filter(|old| old.status == new.status && old.reason == new.reason);
    new.last_transition_time = match same {
        Some(old) => old.last_transition_time.clone(),
        None => Some(Time(now)),
    };
    new
}

/// One that says all is well, or, given reason and message, what is not.
fn condition(
    type_: &str,
    well: &str,
    well_message: &str,
    trouble: Option<(&str, String)>,
) -> NamespaceCondition {
    let status = if trouble.is_some() { "True" } else { "False" };
    let (reason, message) = trouble.unwrap_or((well, well_message.to_owned()));
    NamespaceCondition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_transition_time: None,
    }
}

fn discovery(remains: &Remains) -> NamespaceCondition {
    let message = || {
        let silent = remains.silent.join(", ");
        format!(
            "Discovery failed for some groups, {} failing: {silent}",
            remains.silent.len()
        )
    };
    let trouble = (!remains.silent.is_empty()).then(|| ("DiscoveryFailed", message()));
    condition(
        "NamespaceDeletionDiscoveryFailure",
        "ResourcesDiscovered",
        "All resources successfully discovered",
        trouble,
    )
}

fn failures(remains: &Remains) -> NamespaceCondition {
    let message = || {
        format!(
            "Failed to delete all resource types, {} remaining: {}",
            remains.failures.len(),
            remains.failures.join(", ")
        )
    };
    let trouble = (!remains.failures.is_empty()).then(|| ("ContentDeletionFailed", message()));
    condition(
        "NamespaceDeletionContentFailure",
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
        trouble,
    )
}

fn objects(remains: &Remains) -> NamespaceCondition {
    let message = || {
        format!(
            "Some resources are remaining: {}",
            counted(&remains.objects, |name, count| {
                format!("{name} has {count} resource instances")
            })
        )
    };
    let trouble = (!remains.objects.is_empty()).then(|| ("SomeResourcesRemain", message()));
    condition(
        "NamespaceContentRemaining",
        "ContentRemoved",
        "All content successfully removed",
        trouble,
    )
}

fn finalizers(remains: &Remains) -> NamespaceCondition {
    let message = || {
        format!(
            "Some content in the namespace has finalizers remaining: {}",
            counted(&remains.finalizers, |name, count| format!(
                "{name} in {count} resource instances"
            ))
        )
    };
    let trouble = (!remains.finalizers.is_empty()).then(|| ("SomeFinalizersRemain", message()));
    condition(
        "NamespaceFinalizersRemaining",
        "ContentHasNoFinalizers",
        "All content-preserving finalizers finished",
        trouble,
    )
}

fn counted(counts: &BTreeMap<String, usize>, say: impl Fn(&str, usize) -> String) -> String {
    let parts: Vec<String> = counts
        .iter()
        .map(|(name, count)| say(name, *count))
        .collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remains() -> Remains {
        Remains {
            objects: BTreeMap::from([("pods".to_owned(), 2)]),
            finalizers: BTreeMap::from([("a.b/c".to_owned(), 1)]),
            ..Remains::default()
        }
    }

    fn at(seconds: i64) -> jiff::Timestamp {
        jiff::Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn what_remains_is_told_by_resource_and_by_finalizer() {
        let conditions = of(&remains(), &[], at(1));
        let told = |type_: &str| {
            let condition = conditions.iter().find(|c| c.type_ == type_).unwrap();
            (condition.status.clone(), condition.message.clone().unwrap())
        };
        assert_eq!(
            told("NamespaceContentRemaining"),
            (
                "True".into(),
                "Some resources are remaining: pods has 2 resource instances".into()
            )
        );
        assert_eq!(
            told("NamespaceFinalizersRemaining"),
            ("True".into(), "Some content in the namespace has finalizers remaining: a.b/c in 1 resource instances".into())
        );
        assert_eq!(told("NamespaceDeletionContentFailure").0, "False");
        assert_eq!(conditions.len(), 5);
    }

    #[test]
    fn condition_that_stays_keeps_its_time() {
        let first = of(&remains(), &[], at(1));
        assert_eq!(of(&remains(), &first, at(2)), first);
    }
}

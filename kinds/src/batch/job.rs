//! Job.

mod rules;

use apimachinery::{duration, meta};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{self, AGE, Column, NAME};
use crate::defaults::{each, object, set_default, set_text, with};
use crate::kind::{FieldLabel, Kind, Storage, Subresource};
use crate::pod_template;
use crate::prepare;
use crate::text_cells;
use crate::warnings;

pub use rules::validate_spec;

pub static KIND: Kind = Kind {
    group: "batch",
    kind: "Job",
    list_kind: "JobList",
    plural: "jobs",
    singular: "job",
    categories: &["all"],
    subresources: &[Subresource::status(("batch", "v1", "Job"))],
    storage: Storage::Stored { prefix: "jobs" },
    default,
    prepare_create,
    prepare_update: prepare::keep_status,
    validate: rules::validate,
    validate_update: rules::validate_update,
    validate_status_update: rules::validate_status_update,
    columns: &[
        NAME,
        Column::text("Status", "How far the job is."),
        Column::text("Completions", "How many pods succeeded, of how many."),
        Column::text("Duration", "How long the job ran, or has been running."),
        AGE,
        Column::text("Containers", "Names of each container in the template.").wide(),
        Column::text(
            "Images",
            "Images referenced by each container in the template.",
        )
        .wide(),
        Column::text("Selector", "Which pods belong to the job.").wide(),
    ],
    row,
    field_labels: &[FieldLabel::new("status.successful", |job| {
        let succeeded = meta::int(job, "status.succeeded").unwrap_or(0);
        succeeded.to_string().into()
    })],
    warnings: warnings::named_workload,
    ..Kind::BASE
};

fn default(job: &mut Value) {
    // A new one has its template's labels only when those are complete.
    if !meta::uid(job).is_empty() {
        share_labels(job);
    }
    let spec = object(job, "spec");
    if meta::int(spec, "completions").is_none() && meta::int(spec, "parallelism").is_none() {
        set_default(spec, "completions", 1);
    }
    set_default(spec, "parallelism", 1);
    let per_index = meta::int(spec, "backoffLimitPerIndex").is_some();
    set_default(
        spec,
        "backoffLimit",
        if per_index { i64::from(i32::MAX) } else { 6 },
    );
    set_text(spec, "completionMode", "NonIndexed");
    set_default(spec, "suspend", false);
    let by_policy = meta::get(spec, "podFailurePolicy").is_some();
    let replacement = if by_policy {
        "Failed"
    } else {
        "TerminatingOrFailed"
    };
    set_text(spec, "podReplacementPolicy", replacement);
    with(spec, "podFailurePolicy", |policy| {
        each(policy, "rules", |rule| {
            each(rule, "onPodConditions", |condition| {
                set_text(condition, "status", "True")
            });
        });
    });
    pod_template::default_template(spec);
}

/// A job without labels has those of its template.
fn share_labels(job: &mut Value) {
    let labels = meta::get(job, "spec.template.metadata.labels").cloned();
    if let Some(labels) = labels.filter(|labels| labels.as_object().is_some_and(|l| !l.is_empty()))
        && meta::labels(job).is_none_or(serde_json::Map::is_empty)
    {
        meta::set_meta(job, "labels", labels);
    }
}

const UID: &str = "batch.kubernetes.io/controller-uid";
const NAME_LABEL: &str = "batch.kubernetes.io/job-name";

/// Unless the user chose one, the selector is the job's own uid, so that no two jobs
/// share pods. The object must have its name and uid by now.
fn prepare_create(job: &mut Value) {
    prepare::new_generation(job);
    job["status"] = json!({});
    if meta::flag(job, "spec.manualSelector") {
        return share_labels(job);
    }
    let (uid, name) = (meta::uid(job).to_owned(), meta::name(job).to_owned());
    let template = object(object(job, "spec"), "template");
    let labels = object(object(template, "metadata"), "labels");
    for (key, value) in [
        (UID, &uid),
        (NAME_LABEL, &name),
        ("controller-uid", &uid),
        ("job-name", &name),
    ] {
        set_default(labels, key, value.as_str());
    }
    let selector = object(object(job, "spec"), "selector");
    set_default(object(selector, "matchLabels"), UID, uid);
    share_labels(job);
}

fn row(job: &Value, now: Timestamp) -> Vec<Value> {
    let [containers, images] = pod_template::cells(&job["spec"]["template"]);
    vec![
        columns::name(job),
        status(job).into(),
        completions(job).into(),
        ran(job, now).into(),
        columns::age(job, now),
        containers,
        images,
        text_cells::selector(meta::get(job, "spec.selector")).into(),
    ]
}

fn has_condition(job: &Value, kind: &str) -> bool {
    meta::items(job, "status.conditions")
        .iter()
        .any(|condition| {
            meta::text(condition, "type") == kind && meta::text(condition, "status") == "True"
        })
}

pub fn status(job: &Value) -> &'static str {
    if meta::deletion_timestamp(job).is_some() {
        return "Terminating";
    }
    let states = [
        ("Complete", "Complete"),
        ("Failed", "Failed"),
        ("Suspended", "Suspended"),
        ("FailureTarget", "FailureTarget"),
        ("SuccessCriteriaMet", "SuccessCriteriaMet"),
    ];
    let found = states.iter().find(|(kind, _)| has_condition(job, kind));
    found.map_or("Running", |(_, word)| word)
}

fn completions(job: &Value) -> String {
    let succeeded = meta::int(job, "status.succeeded").unwrap_or(0);
    if let Some(wanted) = meta::int(job, "spec.completions") {
        return format!("{succeeded}/{wanted}");
    }
    match meta::int(job, "spec.parallelism").unwrap_or(0) {
        many if many > 1 => format!("{succeeded}/1 of {many}"),
        _ => format!("{succeeded}/1"),
    }
}

fn ran(job: &Value, now: Timestamp) -> String {
    let time = |path| meta::text(job, path).parse::<Timestamp>().ok();
    let Some(start) = time("status.startTime") else {
        return String::new();
    };
    let end = time("status.completionTime").unwrap_or(now);
    duration::human(end.as_second() - start.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_selects_its_own_pods_by_uid() {
        let mut job = json!({"metadata": {"name": "j", "uid": "u"}, "spec": {"template": {}}});
        prepare_create(&mut job);
        assert_eq!(job["spec"]["selector"], json!({"matchLabels": {UID: "u"}}));
        let labels = &job["spec"]["template"]["metadata"]["labels"];
        assert_eq!(labels["job-name"], "j");
        assert_eq!(labels["controller-uid"], "u");
    }

    #[test]
    fn a_job_without_labels_has_all_of_its_template_and_one_with_labels_only_its_own() {
        let template = json!({"metadata": {"labels": {"app": "x"}}});
        let mut bare = json!({"metadata": {"name": "j"}, "spec": {"template": template}});
        let mut own = bare.clone();
        own["metadata"]["labels"] = json!({"app": "x"});
        for job in [&mut bare, &mut own] {
            default(job);
            meta::set_meta(job, "uid", "u");
            prepare_create(job);
        }
        let labels = &bare["spec"]["template"]["metadata"]["labels"];
        assert_eq!(labels["job-name"], "j");
        assert_eq!(&bare["metadata"]["labels"], labels);
        assert_eq!(own["metadata"]["labels"], json!({"app": "x"}));
    }

    #[test]
    fn a_job_with_its_own_selector_keeps_it() {
        let mut job = json!({"metadata": {"uid": "u"}, "spec": {"manualSelector": true, "selector": {"a": 1}}});
        prepare_create(&mut job);
        assert_eq!(job["spec"]["selector"], json!({"a": 1}));
    }
}

//! CronJob.

use apimachinery::cron::Schedule;
use apimachinery::field::Error;
use apimachinery::{duration, meta};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::job;
use crate::columns::{self, AGE, Column, NAME};
use crate::defaults::{object, set_default, set_text};
use crate::errors::Errors;
use crate::kind::{Kind, Storage, Subresource};
use crate::node::Node;
use crate::object_meta;
use crate::pod_template;
use crate::prepare;
use crate::text_cells::{self, NONE};
use crate::warnings;

pub static KIND: Kind = Kind {
    group: "batch",
    kind: "CronJob",
    list_kind: "CronJobList",
    plural: "cronjobs",
    singular: "cronjob",
    short_names: &["cj"],
    categories: &["all"],
    subresources: &[Subresource::status(("batch", "v1", "CronJob"))],
    storage: Storage::Stored { prefix: "cronjobs" },
    default,
    prepare_create: |cron| {
        prepare::new_generation(cron);
        cron["status"] = json!({});
    },
    prepare_update: prepare::keep_status,
    validate: |cron, errors| {
        validate(cron, errors);
        short_name(cron, errors);
    },
    validate_update: |new, _, errors| validate(new, errors),
    columns: &[
        NAME,
        Column::text("Schedule", "When a job is started."),
        Column::text("TimeZone", "The time zone the schedule is in."),
        Column::flag("Suspend", "Whether no more jobs are started."),
        Column::count("Active", "How many jobs are running."),
        Column::text("Last Schedule", "When a job was last started."),
        AGE,
        Column::text("Containers", "Names of each container in the template.").wide(),
        Column::text(
            "Images",
            "Images referenced by each container in the template.",
        )
        .wide(),
        Column::text("Selector", "Which pods belong to the jobs.").wide(),
    ],
    row,
    warnings: told,
    ..Kind::BASE
};

fn default(cron: &mut Value) {
    let spec = object(cron, "spec");
    set_text(spec, "concurrencyPolicy", "Allow");
    set_default(spec, "suspend", false);
    set_default(spec, "successfulJobsHistoryLimit", 3);
    set_default(spec, "failedJobsHistoryLimit", 1);
    let template = object(spec, "jobTemplate");
    object(template, "metadata");
    pod_template::default_template(object(template, "spec"));
}

/// Eleven characters are left for the jobs' own suffix.
const NAME_MAX: usize = 52;

fn short_name(cron: &Node, errors: &mut Errors) {
    let name = cron.at("metadata.name");
    if name.len() > NAME_MAX {
        errors.invalid(&name, format!("must be no more than {NAME_MAX} characters"));
    }
}

fn validate(cron: &Node, errors: &mut Errors) {
    let spec = cron.at("spec");
    let schedule = spec.at("schedule");
    if errors.require(&schedule) {
        validate_schedule(&schedule, errors);
    }
    errors.not_negative(&spec.at("startingDeadlineSeconds"));
    let policies = &["Allow", "Forbid", "Replace"];
    errors.require_one_of(&spec.at("concurrencyPolicy"), policies);
    job_template(&spec.at("jobTemplate"), errors);
    errors.not_negative(&spec.at("successfulJobsHistoryLimit"));
    errors.not_negative(&spec.at("failedJobsHistoryLimit"));
    time_zone(&spec.at("timeZone"), errors);
}

/// Each job gets a selector of its own.
fn job_template(template: &Node, errors: &mut Errors) {
    object_meta::validate_template(&template.at("metadata"), errors);
    let spec = template.at("spec");
    job::validate_spec(&spec, errors);
    let (selector, manual) = (spec.at("selector"), spec.at("manualSelector"));
    if selector.exists() {
        errors.invalid(&selector, "`selector` will be auto-generated");
    }
    if manual.is_true() {
        errors.push(Error::not_supported(&manual.path, true, &["nil", "false"]));
    }
}

fn validate_schedule(schedule: &Node, errors: &mut Errors) {
    let text = schedule.text();
    // A zone in front is refused below; it must not hide what else is wrong.
    let plain = match text.split_once(' ') {
        Some((zone, rest)) if zone.contains("TZ=") => rest,
        _ => text,
    };
    if let Err(error) = Schedule::parse(plain) {
        errors.invalid(schedule, error.to_string());
    }
    if text.contains("TZ") {
        let why = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
        errors.invalid(schedule, why);
    }
}

fn time_zone(zone: &Node, errors: &mut Errors) {
    if !zone.exists() {
        return;
    }
    let text = zone.text();
    if text.is_empty() {
        errors.invalid(zone, "timeZone must be nil or non-empty string");
    } else if text.eq_ignore_ascii_case("local") {
        errors.invalid(
            zone,
            "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones",
        );
    } else if !text.split('/').all(zone_part) || !is_known(text) {
        errors.invalid(zone, format!("unknown time zone {text}"));
    }
}

fn zone_part(part: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"_+-.".contains(&b);
    let is_step = matches!(part, "." | "..") || part.starts_with('-');
    (1..=14).contains(&part.len()) && !is_step && part.bytes().all(good)
}

/// By this machine's own list of zones, if it has one.
fn is_known(zone: &str) -> bool {
    let zones = jiff::tz::db();
    zones.get(zone).is_ok() || zones.available().next().is_none()
}

fn row(cron: &Value, now: Timestamp) -> Vec<Value> {
    let last = meta::get(cron, "status.lastScheduleTime").and_then(Value::as_str);
    let last = last.map_or(NONE.to_owned(), |time| duration::age(Some(time), now));
    let template = &cron["spec"]["jobTemplate"]["spec"]["template"];
    let [containers, images] = pod_template::cells(template);
    let selector = meta::get(cron, "spec.jobTemplate.spec.selector");
    let suspended = if meta::flag(cron, "spec.suspend") {
        "True"
    } else {
        "False"
    };
    vec![
        columns::name(cron),
        meta::text(cron, "spec.schedule").into(),
        text_cells::or_none(meta::text(cron, "spec.timeZone")).into(),
        suspended.into(),
        meta::items(cron, "status.active").len().into(),
        last.into(),
        columns::age(cron, now),
        containers,
        images,
        text_cells::selector(selector).into(),
    ]
}

fn told(new: &Value, old: Option<&Value>) -> Vec<String> {
    let mut told = Vec::new();
    if old.is_none() {
        warnings::name(new, "Pod names and hostnames", &mut told);
    }
    if warnings::is_due(new, old) {
        let job = Node::root(new);
        let job = job.at("spec");
        let job = job.at("jobTemplate");
        let job = job.at("spec");
        warnings::template(&job.at("template"), &mut told);
    }
    told
}

//! Jobs and CronJobs.

use serde_json::{Value, json};

use super::change::Good;

fn pod() -> Value {
    json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i:1"}]}})
}

fn job() -> Good {
    Good::new("batch/v1", "Job", json!({"spec": {"template": pod()}}))
}

#[test]
fn an_indexed_job_has_so_many_indexes() {
    let indexed = |rest: Value| {
        let mut spec = json!({"completionMode": "Indexed", "completions": 3});
        super::change::merge(&mut spec, rest);
        json!({"spec": spec})
    };
    job().refuses(&[
        (
            indexed(json!({"completions": null, "parallelism": 1})),
            &["spec.completions: Required value: when completion mode is Indexed"],
        ),
        (
            indexed(json!({"parallelism": 100_001})),
            &["spec.parallelism: Invalid value: 100001: must be less than or equal to 100000 when completion mode is Indexed"],
        ),
        (
            indexed(json!({"maxFailedIndexes": 4, "backoffLimitPerIndex": 1})),
            &["spec.maxFailedIndexes: Invalid value: 4: must be less than or equal to completions"],
        ),
        (
            indexed(json!({"successPolicy": {"rules": [{"succeededIndexes": "0-3"}]}})),
            &["spec.successPolicy.rules[0].succeededIndexes: Invalid value: \"0-3\": error parsing succeededIndexes: too large index: \"3\""],
        ),
        (
            json!({"spec": {"backoffLimitPerIndex": 1}}),
            &["spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"],
        ),
    ]);
}

#[test]
fn a_failure_policy_is_about_pods_that_are_not_restarted() {
    let rule = |rule: Value| json!({"spec": {"podFailurePolicy": {"rules": [rule]}}});
    let codes = |values: Value| {
        rule(json!({"action": "Count", "onExitCodes": {"operator": "In", "values": values}}))
    };
    job().refuses(&[
        (
            rule(json!({"action": "Count"})),
            &["spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required"],
        ),
        (
            codes(json!([0])),
            &["spec.podFailurePolicy.rules[0].onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator"],
        ),
        (
            codes(json!([2, 1])),
            &["spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [2,1]: must be ordered"],
        ),
        (
            json!({"spec": {"podFailurePolicy": {"rules": []}, "template": {"spec": {"restartPolicy": "OnFailure"}}}}),
            &["spec.template.spec.restartPolicy: Invalid value: \"OnFailure\": only \"Never\" is supported when podFailurePolicy is specified"],
        ),
        (
            json!({"spec": {"managedBy": "me"}}),
            &["spec.managedBy: Invalid value: \"me\": must be a domain-prefixed path (such as \"acme.io/foo\")"],
        ),
    ]);
}

#[test]
fn a_job_that_runs_keeps_its_pods_and_their_number() {
    let job = job();
    let found = job.update_errors(json!({}), json!({"spec": {"completions": 2}}));
    assert_eq!(
        found,
        ["spec.completions: Invalid value: 2: field is immutable"]
    );
    let label = json!({"spec": {"template": {"metadata": {"labels": {"x": "y"}}}}});
    let found = job.update_errors(json!({}), label.clone());
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("spec.template: Invalid value: "),
        "{found:?}"
    );
    let waits = json!({"spec": {"suspend": true}});
    assert_eq!(job.update_errors(waits, label), Vec::<String>::new());
}

#[test]
fn a_job_ends_once() {
    let done = json!({"status": {"startTime": "2026-01-01T00:00:00Z", "conditions": [{"type": "Complete", "status": "True"}]}});
    let both = json!({"status": {"conditions": [{"type": "Complete", "status": "True"}, {"type": "Failed", "status": "True"}]}});
    assert_eq!(
        job().status_errors(done, both),
        ["status.conditions: Invalid value: cannot set Complete=True and Failed=true conditions"]
    );
}

#[test]
fn a_cron_job_has_a_schedule_in_a_zone_that_exists() {
    let cron = Good::new(
        "batch/v1",
        "CronJob",
        json!({"spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": pod()}}}}),
    );
    cron.refuses(&[
        (
            json!({"spec": {"schedule": "61 * * * *"}}),
            &["spec.schedule: Invalid value: \"61 * * * *\": end of range (61) above maximum (59): 61"],
        ),
        (
            json!({"spec": {"schedule": "TZ=UTC * * * * *"}}),
            &["spec.schedule: Invalid value: \"TZ=UTC * * * * *\": cannot use TZ or CRON_TZ in schedule, use timeZone field instead"],
        ),
        (
            json!({"spec": {"timeZone": "../etc"}}),
            &["spec.timeZone: Invalid value: \"../etc\": unknown time zone ../etc"],
        ),
        (
            json!({"spec": {"timeZone": "Local"}}),
            &["spec.timeZone: Invalid value: \"Local\": timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"],
        ),
        (
            json!({"spec": {"concurrencyPolicy": "Queue"}}),
            &["spec.concurrencyPolicy: Unsupported value: \"Queue\": supported values: \"Allow\", \"Forbid\", \"Replace\""],
        ),
        (
            json!({"spec": {"jobTemplate": {"spec": {"manualSelector": true}}}}),
            &["spec.jobTemplate.spec.manualSelector: Unsupported value: true: supported values: \"nil\", \"false\""],
        ),
    ]);
}

//! Deployments and ReplicaSets.

use serde_json::Value;

use super::page::{Page, array, number, or_none, selector, show, string, time};
use super::pod;

pub fn deployment(deployment: &Value, sets: &[Value]) -> Page {
    let mut page = Page::default();
    page.field(0, "Name", string(deployment, "/metadata/name"));
    page.field(0, "Namespace", string(deployment, "/metadata/namespace"));
    page.field(
        0,
        "CreationTimestamp",
        &time(string(deployment, "/metadata/creationTimestamp")),
    );
    page.labels(0, "Labels", &deployment["metadata"]["labels"]);
    page.annotations(&deployment["metadata"]["annotations"]);
    page.field(0, "Selector", &selector(&deployment["spec"]["selector"]));
    let count = |field: &str| number(deployment, &format!("/status/{field}"));
    let replicas = format!(
        "{} desired | {} updated | {} total | {} available | {} unavailable",
        number(deployment, "/spec/replicas"),
        count("updatedReplicas"),
        count("replicas"),
        count("availableReplicas"),
        count("unavailableReplicas")
    );
    page.field(0, "Replicas", &replicas);
    page.field(0, "StrategyType", string(deployment, "/spec/strategy/type"));
    page.field(
        0,
        "MinReadySeconds",
        &number(deployment, "/spec/minReadySeconds").to_string(),
    );
    if let Some(rolling) = deployment.pointer("/spec/strategy/rollingUpdate") {
        let text = format!(
            "{} max unavailable, {} max surge",
            show(&rolling["maxUnavailable"]),
            show(&rolling["maxSurge"])
        );
        page.field(0, "RollingUpdateStrategy", &text);
    }
    pod::template(&mut page, &deployment["spec"]["template"]);
    conditions(&mut page, array(deployment, "/status/conditions"));
    replica_sets(&mut page, deployment, sets);
    page
}

fn conditions(page: &mut Page, conditions: &[Value]) {
    if conditions.is_empty() {
        return;
    }
    page.line(0, "Conditions:");
    page.line(1, "Type\tStatus\tReason");
    page.line(1, "----\t------\t------");
    for condition in conditions {
        let of = |field| string(condition, field);
        page.line(
            1,
            &format!("{} \t{}\t{}", of("/type"), of("/status"), of("/reason")),
        );
    }
}

fn replica_sets(page: &mut Page, deployment: &Value, sets: &[Value]) {
    const REVISION: &str = "/metadata/annotations/deployment.kubernetes.io~1revision";
    let revision = string(deployment, REVISION);
    let (new, old): (Vec<&Value>, Vec<&Value>) = sets
        .iter()
        .partition(|set| string(set, REVISION) == revision);
    let list = |sets: &[&Value]| {
        let text: Vec<String> = sets
            .iter()
            .map(|set| {
                format!(
                    "{} ({}/{} replicas created)",
                    string(set, "/metadata/name"),
                    number(set, "/status/replicas"),
                    number(set, "/spec/replicas")
                )
            })
            .collect();
        or_none(&text.join(", ")).to_owned()
    };
    page.field(0, "OldReplicaSets", &list(&old));
    page.field(0, "NewReplicaSet", &list(&new));
}

pub fn replica_set(set: &Value, pods: &[Value]) -> Page {
    let mut page = Page::default();
    page.field(0, "Name", string(set, "/metadata/name"));
    page.field(0, "Namespace", string(set, "/metadata/namespace"));
    page.field(0, "Selector", &selector(&set["spec"]["selector"]));
    page.labels(0, "Labels", &set["metadata"]["labels"]);
    page.annotations(&set["metadata"]["annotations"]);
    page.controller(set);
    let replicas = format!(
        "{} current / {} desired",
        number(set, "/status/replicas"),
        number(set, "/spec/replicas")
    );
    page.field(0, "Replicas", &replicas);
    page.field(0, "Pods Status", &pod::phases(pods));
    pod::template(&mut page, &set["spec"]["template"]);
    let found = array(set, "/status/conditions");
    conditions(&mut page, found);
    page
}

//! What happened to an object lately.

use serde_json::Value;

use super::Page;
use crate::cluster::{Cluster, encode, text};

/// The table of the object's events, as kubectl shows it.
pub async fn describe(cluster: &Cluster, object: &Value, page: &mut Page) -> anyhow::Result<()> {
    let metadata = &object["metadata"];
    let place = match metadata["namespace"].as_str() {
        Some(namespace) => format!("/namespaces/{namespace}"),
        None => String::new(),
    };
    let fields = format!(
        "involvedObject.name={},involvedObject.kind={}",
        text(object, "/metadata/name"),
        text(object, "/kind")
    );
    let path = format!("/api/v1{place}/events?fieldSelector={}", encode(&fields));
    let list = cluster.get(&path).await?;
    let mut events = list["items"].as_array().cloned().unwrap_or_default();
    // A node's events are about its name; others must be of this very object.
    events.retain(|e| e["involvedObject"]["uid"] == metadata["uid"] || object["kind"] == "Node");
    if events.is_empty() {
        page.field(0, "Events", "<none>");
        return Ok(());
    }
    events.sort_by_key(|event| last_seen(event).to_owned());
    page.line(0, "Events:");
    page.line(1, "Type\tReason\tAge\tFrom\tMessage");
    page.line(1, "----\t------\t----\t----\t-------");
    events.iter().for_each(|event| page.line(1, &row(event)));
    Ok(())
}

fn row(event: &Value) -> String {
    let source = match text(event, "/source/component") {
        "" => text(event, "/reportingComponent"),
        component => component,
    };
    let cells = [
        text(event, "/type"),
        text(event, "/reason"),
        &age(event),
        source,
        &text(event, "/message").trim().replace(['\n', '\t'], " "),
    ];
    cells.join("\t")
}

/// `5s`, or `5s (x3 over 2m)`.
fn age(event: &Value) -> String {
    let last = since(last_seen(event));
    let series = event["series"]["count"].as_i64();
    match series.or(event["count"].as_i64()).unwrap_or(1) {
        0 | 1 => last,
        count => format!("{last} (x{count} over {})", since(first_seen(event))),
    }
}

fn last_seen(event: &Value) -> &str {
    let times = [
        "/series/lastObservedTime",
        "/lastTimestamp",
        "/eventTime",
        "/metadata/creationTimestamp",
    ];
    times
        .iter()
        .map(|at| text(event, at))
        .find(|t| !t.is_empty())
        .unwrap_or_default()
}

fn first_seen(event: &Value) -> &str {
    let times = [
        "/firstTimestamp",
        "/eventTime",
        "/metadata/creationTimestamp",
    ];
    times
        .iter()
        .map(|at| text(event, at))
        .find(|t| !t.is_empty())
        .unwrap_or_default()
}

fn since(time: &str) -> String {
    match time.parse::<jiff::Timestamp>() {
        Ok(time) => {
            apimachinery::duration::human(jiff::Timestamp::now().duration_since(time).as_secs())
        }
        Err(_) => "<unknown>".into(),
    }
}

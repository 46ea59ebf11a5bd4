//! What happened to an object lately.

use serde_json::Value;

use crate::cluster::{Cluster, encode, text};
use crate::print::aligned;

/// The table of the object's events, as kubectl shows it.
pub async fn describe(cluster: &Cluster, object: &Value) -> anyhow::Result<String> {
    let metadata = &object["metadata"];
    let namespace = metadata["namespace"].as_str().unwrap_or("default");
    let fields = format!(
        "involvedObject.name={},involvedObject.kind={}",
        text(object, "/metadata/name"),
        text(object, "/kind")
    );
    let path = format!(
        "/api/v1/namespaces/{namespace}/events?fieldSelector={}",
        encode(&fields)
    );
    let list = cluster.get(&path).await?;
    let mut events = list["items"].as_array().cloned().unwrap_or_default();
    // A node's events are about its name; others must be of this very object.
    events.retain(|e| e["involvedObject"]["uid"] == metadata["uid"] || object["kind"] == "Node");
    if events.is_empty() {
        return Ok("Events:           <none>\n".into());
    }
    events.sort_by_key(|event| last_seen(event).to_owned());
    let columns = ["  Type", "Reason", "Age", "From", "Message"];
    let rules = ["  ----", "------", "----", "----", "-------"];
    let mut lines = vec![
        columns.map(str::to_owned).to_vec(),
        rules.map(str::to_owned).to_vec(),
    ];
    lines.extend(events.iter().map(row));
    Ok(format!("Events:\n{}", aligned(&lines)))
}

fn row(event: &Value) -> Vec<String> {
    let source = match text(event, "/source/component") {
        "" => text(event, "/reportingComponent"),
        component => component,
    };
    vec![
        format!("  {}", text(event, "/type")),
        text(event, "/reason").to_owned(),
        age(event),
        source.to_owned(),
        text(event, "/message").trim().to_owned(),
    ]
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

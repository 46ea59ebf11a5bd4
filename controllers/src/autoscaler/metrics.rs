//! The metrics APIs: resource, custom and external. Any server may serve them.

use std::collections::BTreeMap;

use apimachinery::Quantity;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Client;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::form_urlencoded::Serializer;

use super::replicas::{Sample, Samples};

const RESOURCES: &str = "/apis/metrics.k8s.io/v1beta1";
/// The newest first; who serves one of them serves it.
const CUSTOM: [&str; 2] = [
    "/apis/custom.metrics.k8s.io/v1beta2",
    "/apis/custom.metrics.k8s.io/v1beta1",
];
const EXTERNAL: &str = "/apis/external.metrics.k8s.io/v1beta1";
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

#[derive(Deserialize)]
struct List<T> {
    items: Vec<T>,
}

#[derive(Deserialize)]
struct PodMetrics {
    metadata: Named,
    timestamp: Option<Time>,
    window: Option<String>,
    containers: Vec<ContainerMetrics>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct ContainerMetrics {
    name: String,
    usage: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MetricValue {
    described_object: Option<Described>,
    timestamp: Option<Time>,
    window_seconds: Option<i64>,
    value: String,
}

#[derive(Deserialize)]
struct Described {
    #[serde(default)]
    name: String,
}

/// The pods' use of a resource: of one container, or of all.
pub async fn of_resource(
    client: &Client,
    namespace: &str,
    selector: &str,
    resource: &str,
    container: Option<&str>,
) -> Result<Samples, String> {
    let path = format!("{RESOURCES}/namespaces/{namespace}/pods");
    let asked = get(client, &path, &[("labelSelector", selector)]).await;
    let list: List<PodMetrics> = asked.map_err(|error| {
        let why = words(&error, "get pods.metrics.k8s.io");
        format!("unable to fetch metrics from resource metrics API: {why}")
    })?;
    if list.items.is_empty() {
        return Err("no metrics returned from resource metrics API".into());
    }
    let samples = list.items.into_iter();
    let samples: Samples = samples
        .filter_map(|pod| sample_of(pod, resource, container))
        .collect();
    match container {
        Some(container) if samples.is_empty() => Err(format!(
            "container {container} not present in metrics for pods"
        )),
        _ => Ok(samples),
    }
}

/// Nothing for a pod of which a container is not measured yet.
fn sample_of(pod: PodMetrics, resource: &str, container: Option<&str>) -> Option<(String, Sample)> {
    let mut containers: Vec<_> = pod.containers.into_iter().collect();
    containers.retain(|c| container.is_none_or(|name| c.name == name));
    if containers.is_empty() {
        return None;
    }
    let uses = containers.iter().map(|c| milli(c.usage.get(resource)?));
    let sample = Sample {
        value: uses.sum::<Option<i64>>()?,
        at: at(pod.timestamp),
        window: pod.window.and_then(|w| w.parse().ok()).unwrap_or(MINUTE),
    };
    Some((pod.metadata.name, sample))
}

/// A custom metric of each of the pods.
pub async fn of_pods(
    client: &Client,
    namespace: &str,
    selector: &str,
    metric: &str,
    metric_selector: &str,
) -> Result<Samples, String> {
    let path = format!("namespaces/{namespace}/pods/*/{metric}");
    let query = [
        ("labelSelector", selector),
        ("metricLabelSelector", metric_selector),
    ];
    let values = custom(client, &path, &query, metric).await?;
    let samples = values.into_iter().filter_map(|value| {
        let sample = Sample {
            value: milli(&value.value)?,
            at: at(value.timestamp),
            window: value
                .window_seconds
                .map_or(MINUTE, SignedDuration::from_secs),
        };
        Some((value.described_object?.name, sample))
    });
    Ok(samples.collect())
}

/// Where an object is; `resource` is its full name, as `ingresses.networking.k8s.io`.
pub struct ObjectPlace<'a> {
    pub namespace: &'a str,
    pub resource: &'a str,
    pub name: &'a str,
}

/// A custom metric of one object.
pub async fn of_object(
    client: &Client,
    place: ObjectPlace<'_>,
    metric: &str,
    metric_selector: &str,
) -> Result<i64, String> {
    let ObjectPlace {
        namespace,
        resource,
        name,
    } = place;
    let path = format!("namespaces/{namespace}/{resource}/{name}/{metric}");
    let query = [("metricLabelSelector", metric_selector)];
    let values = custom(client, &path, &query, metric).await?;
    let value = values.first().and_then(|value| milli(&value.value));
    value.ok_or_else(|| format!("no value of {metric} returned from custom metrics API"))
}

async fn custom(
    client: &Client,
    path: &str,
    query: &[(&str, &str)],
    metric: &str,
) -> Result<Vec<MetricValue>, String> {
    let mut why = String::new();
    for version in CUSTOM {
        match get::<List<MetricValue>>(client, &format!("{version}/{path}"), query).await {
            Ok(list) if list.items.is_empty() => {
                return Err("no metrics returned from custom metrics API".into());
            }
            Ok(list) => return Ok(list.items),
            Err(error) => {
                let verb = format!("get {metric}.custom.metrics.k8s.io");
                why = format!(
                    "unable to fetch metrics from custom metrics API: {}",
                    words(&error, &verb)
                );
            }
        }
    }
    Err(why)
}

/// All values of an external metric.
pub async fn of_outside(
    client: &Client,
    namespace: &str,
    metric: &str,
    selector: &str,
) -> Result<Vec<i64>, String> {
    let path = format!("{EXTERNAL}/namespaces/{namespace}/{metric}");
    let asked = get(client, &path, &[("labelSelector", selector)]).await;
    let list: List<MetricValue> = asked.map_err(|error| {
        let why = words(&error, &format!("get {metric}.external.metrics.k8s.io"));
        format!("unable to fetch metrics from external metrics API: {why}")
    })?;
    if list.items.is_empty() {
        return Err("no metrics returned from external metrics API".into());
    }
    let values = list.items.iter().map(|value| milli(&value.value));
    values
        .collect::<Option<Vec<i64>>>()
        .ok_or_else(|| format!("unreadable value of {metric} from external metrics API"))
}

async fn get<T: DeserializeOwned>(
    client: &Client,
    path: &str,
    query: &[(&str, &str)],
) -> Result<T, kube::Error> {
    let said = query.iter().filter(|(_, value)| !value.is_empty());
    let query = Serializer::new(String::new()).extend_pairs(said).finish();
    let request = http::Request::get(format!("{path}?{query}"))
        .body(Vec::new())
        .map_err(kube::Error::HttpError)?;
    client.request(request).await
}

/// As clients of Kubernetes word it that nobody serves this.
fn words(error: &kube::Error, verb: &str) -> String {
    match error {
        kube::Error::Api(status) if status.code == 404 && status.details.is_none() => {
            format!("the server could not find the requested resource ({verb})")
        }
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

fn milli(text: impl AsRef<str>) -> Option<i64> {
    let quantity: Quantity = text.as_ref().parse().ok()?;
    Some(quantity.milli_value())
}

fn at(time: Option<Time>) -> Timestamp {
    time.map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pod_is_measured_by_the_sum_of_its_containers_or_by_one() {
        let pod = || {
            let pod = json!({ "metadata": { "name": "p" }, "timestamp": "2026-01-01T00:00:00Z", "window": "30s",
                "containers": [{ "name": "a", "usage": { "cpu": "250m", "memory": "1Mi" } },
                    { "name": "b", "usage": { "cpu": "1" } }] });
            serde_json::from_value::<PodMetrics>(pod).unwrap()
        };
        let value =
            |resource, container| sample_of(pod(), resource, container).map(|(_, s)| s.value);
        assert_eq!(value("cpu", None), Some(1250));
        assert_eq!(value("cpu", Some("a")), Some(250));
        assert_eq!(value("memory", None), None);
        assert_eq!(value("cpu", Some("x")), None);
        let (name, sample) = sample_of(pod(), "cpu", None).unwrap();
        assert_eq!(
            (name.as_str(), sample.window),
            ("p", SignedDuration::from_secs(30))
        );
    }
}

//! What one metric of an autoscaler says: asked for, weighed, written down.

use std::collections::BTreeMap;
use std::fmt;

use apimachinery::Quantity as Exact;
use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricStatus, ExternalMetricSource, ExternalMetricStatus, MetricIdentifier,
    MetricSpec, MetricStatus, MetricTarget, MetricValueStatus, ObjectMetricSource,
    ObjectMetricStatus, PodsMetricSource, PodsMetricStatus, ResourceMetricStatus,
};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::Client;
use serde_json::{Value, json};

use super::metrics::{self, ObjectPlace};
use super::replicas::{self, PodSeen, Proposal, Samples, Target, Tolerance, Usage};
use super::target::{self, Resources, Size};

/// What all metrics of one autoscaler are weighed against.
pub struct Scene<'a> {
    pub client: &'a Client,
    pub resources: &'a Resources,
    pub namespace: &'a str,
    pub size: &'a Size,
    pub pods: &'a [Pod],
    pub tolerance: Tolerance,
    pub now: Timestamp,
}

#[derive(Debug)]
pub struct Said {
    pub replicas: i32,
    /// The metric, as the condition names it.
    pub name: String,
    pub status: MetricStatus,
}

/// A metric that says nothing.
#[derive(Debug)]
pub struct Silence {
    pub reason: &'static str,
    pub why: String,
    /// In front of the reason, where all metrics are told of.
    pub what: String,
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what.as_str() {
            "" => f.write_str(&self.why),
            what => write!(f, "{what}: {}", self.why),
        }
    }
}

/// Asks for the metric, and says how many pods it calls for.
pub async fn of(scene: &Scene<'_>, spec: &MetricSpec) -> Result<Said, Silence> {
    let silence = |reason, what: &str| {
        let what = what.to_owned();
        move |why| Silence { reason, why, what }
    };
    if let Some(source) = &spec.resource {
        let what = format!("failed to get {} resource metric value", source.name);
        let said = resource(scene, &source.name, None, &source.target).await;
        said.map_err(silence("FailedGetResourceMetric", &what))
    } else if let Some(source) = &spec.container_resource {
        let what = format!("failed to get {} container metric value", source.name);
        let said = resource(scene, &source.name, Some(&source.container), &source.target).await;
        said.map_err(silence("FailedGetContainerResourceMetric", &what))
    } else if let Some(source) = &spec.pods {
        let said = pods(scene, source).await;
        said.map_err(silence(
            "FailedGetPodsMetric",
            "failed to get pods metric value",
        ))
    } else if let Some(source) = &spec.object {
        let said = object(scene, source).await;
        said.map_err(silence(
            "FailedGetObjectMetric",
            "failed to get object metric value",
        ))
    } else if let Some(source) = &spec.external {
        let what = format!("failed to get {} external metric value", source.metric.name);
        let said = external(scene, source).await;
        said.map_err(silence("FailedGetExternalMetric", &what))
    } else {
        let why = format!("unknown metric source type {:?}", spec.type_);
        Err(silence("InvalidMetricSourceType", "")(why))
    }
}

async fn resource(
    scene: &Scene<'_>,
    name: &str,
    container: Option<&str>,
    target: &MetricTarget,
) -> Result<Said, String> {
    let is_share = target.average_value.is_none();
    let what = if is_share { "utilization" } else { "usage" };
    let failed = |why: String| format!("failed to get {name} {what}: {why}");
    let samples = metrics::of_resource(
        scene.client,
        scene.namespace,
        &scene.size.selector,
        name,
        container,
    );
    let samples = samples
        .await
        .map_err(|why| failed(format!("unable to get metrics for resource {name}: {why}")))?;
    let requests = if is_share {
        target::requests(scene.pods, container, name).map_err(failed)?
    } else {
        BTreeMap::new()
    };
    let wanted = match (&target.average_value, target.average_utilization) {
        (Some(value), _) => Target::Average(milli(value)?),
        (None, Some(percent)) => Target::Utilization(percent, &requests),
        (None, None) => {
            let why = "invalid resource metric source: neither an average utilization target nor an average value (usage) target was set";
            return Err(why.into());
        }
    };
    let proposal = weigh(scene, samples, &wanted, name == "cpu").map_err(failed)?;
    let current = current(&proposal.usage);
    let status = match container {
        None => MetricStatus {
            type_: "Resource".into(),
            resource: Some(ResourceMetricStatus {
                name: name.into(),
                current,
            }),
            ..MetricStatus::default()
        },
        Some(container) => MetricStatus {
            type_: "ContainerResource".into(),
            container_resource: Some(ContainerResourceMetricStatus {
                name: name.into(),
                container: container.into(),
                current,
            }),
            ..MetricStatus::default()
        },
    };
    let name = if is_share {
        format!("{name} resource utilization (percentage of request)")
    } else {
        format!("{name} resource")
    };
    Ok(Said {
        replicas: proposal.replicas,
        name,
        status,
    })
}

fn weigh(
    scene: &Scene,
    samples: Samples,
    target: &Target,
    is_cpu: bool,
) -> Result<Proposal, String> {
    let seen: Vec<PodSeen> = scene.pods.iter().map(target::seen).collect();
    replicas::from_pods(
        scene.size.wanted,
        &seen,
        samples,
        target,
        is_cpu,
        scene.tolerance,
        scene.now,
    )
}

async fn pods(scene: &Scene<'_>, source: &PodsMetricSource) -> Result<Said, String> {
    let name = &source.metric.name;
    let target = source.target.average_value.as_ref();
    let target = Target::Average(milli(target.ok_or("no averageValue target was set")?)?);
    let (pods, selector) = (&scene.size.selector, selector_of(&source.metric));
    let samples = metrics::of_pods(scene.client, scene.namespace, pods, name, &selector);
    let samples = samples
        .await
        .map_err(|why| format!("unable to get metric {name}: {why}"))?;
    let proposal = weigh(scene, samples, &target, false)?;
    let status = MetricStatus {
        type_: "Pods".into(),
        pods: Some(PodsMetricStatus {
            metric: source.metric.clone(),
            current: current(&proposal.usage),
        }),
        ..MetricStatus::default()
    };
    let name = format!("pods metric {name}");
    Ok(Said {
        replicas: proposal.replicas,
        name,
        status,
    })
}

async fn object(scene: &Scene<'_>, source: &ObjectMetricSource) -> Result<Said, String> {
    let (name, object) = (&source.metric.name, &source.described_object);
    let resource = scene.resources.of(scene.client, object).await?;
    let resource = resource.full_name();
    let place = ObjectPlace {
        namespace: scene.namespace,
        resource: &resource,
        name: &object.name,
    };
    let selector = selector_of(&source.metric);
    let value = metrics::of_object(scene.client, place, name, &selector);
    let value = value.await.map_err(|why| {
        let (namespace, object_name) = (scene.namespace, &object.name);
        format!(
            "unable to get metric {name}: {} on {namespace} {object_name}/{why}",
            object.kind
        )
    })?;
    let (proposal, current) = single(scene, value, &source.target)?;
    let status = MetricStatus {
        type_: "Object".into(),
        object: Some(ObjectMetricStatus {
            metric: source.metric.clone(),
            described_object: object.clone(),
            current,
        }),
        ..MetricStatus::default()
    };
    let name = format!("{} metric {name}", object.kind);
    Ok(Said {
        replicas: proposal.replicas,
        name,
        status,
    })
}

async fn external(scene: &Scene<'_>, source: &ExternalMetricSource) -> Result<Said, String> {
    let (name, selector) = (&source.metric.name, selector_of(&source.metric));
    let values = metrics::of_outside(scene.client, scene.namespace, name, &selector);
    let values = values.await.map_err(|why| {
        let namespace = scene.namespace;
        format!("unable to get external metric {namespace}/{name}/{selector}: {why}")
    })?;
    let value = values.into_iter().fold(0, i64::saturating_add);
    let (proposal, current) = single(scene, value, &source.target)?;
    let status = MetricStatus {
        type_: "External".into(),
        external: Some(ExternalMetricStatus {
            metric: source.metric.clone(),
            current,
        }),
        ..MetricStatus::default()
    };
    let selector = source.metric.selector.as_ref().map_or("nil".into(), as_go);
    let name = format!("external metric {name}({selector})");
    Ok(Said {
        replicas: proposal.replicas,
        name,
        status,
    })
}

/// One value, for all pods together or shared out among them.
fn single(
    scene: &Scene,
    value: i64,
    target: &MetricTarget,
) -> Result<(Proposal, MetricValueStatus), String> {
    if let Some(wanted) = &target.value {
        let ready = scene
            .pods
            .iter()
            .filter(|pod| target::is_ready(pod))
            .count();
        let proposal = replicas::from_value(
            scene.size.wanted,
            ready,
            value,
            milli(wanted)?,
            scene.tolerance,
        );
        let current = MetricValueStatus {
            value: Some(quantity(value)),
            ..MetricValueStatus::default()
        };
        return Ok((proposal, current));
    }
    let wanted = target.average_value.as_ref();
    let wanted = wanted.ok_or("neither a value target nor an average value target was set")?;
    let proposal = replicas::from_share(scene.size.there, value, milli(wanted)?, scene.tolerance);
    Ok((proposal, current(&proposal.usage)))
}

fn current(usage: &Usage) -> MetricValueStatus {
    MetricValueStatus {
        average_utilization: usage.utilization,
        average_value: Some(quantity(usage.average)),
        value: None,
    }
}

fn quantity(milli: i64) -> Quantity {
    Quantity(Exact::from_milli(milli).to_string())
}

fn milli(quantity: &Quantity) -> Result<i64, String> {
    let exact: Result<Exact, _> = quantity.0.parse();
    let exact = exact.map_err(|_| format!("unreadable target {:?}", quantity.0))?;
    Ok(exact.milli_value())
}

/// A selector as Go prints it, which is what events say.
fn as_go(selector: &LabelSelector) -> String {
    let labels = selector.match_labels.iter().flatten();
    let labels: String = labels
        .map(|(key, value)| format!("{key}: {value},"))
        .collect();
    let rules = selector.match_expressions.iter().flatten();
    let rules: String = rules
        .map(|rule| {
            let values = rule.values.as_deref().unwrap_or_default().join(" ");
            let (key, operator) = (&rule.key, &rule.operator);
            format!("LabelSelectorRequirement{{Key:{key},Operator:{operator},Values:[{values}],}},")
        })
        .collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{rules}}},}}"
    )
}

/// The metric's label selector, as a query says it.
fn selector_of(metric: &MetricIdentifier) -> String {
    let selector = metric.selector.as_ref().map(|selector| json!(selector));
    let selector = selector.unwrap_or(Value::Null);
    let selector = apimachinery::selector::LabelSelector::from_object(&selector);
    match selector {
        Ok(selector) if metric.selector.is_some() => selector.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selector_is_told_as_go_prints_it() {
        let selector = json!({ "matchLabels": { "queue": "mail" } });
        let selector = serde_json::from_value(selector).unwrap();
        let go = "&LabelSelector{MatchLabels:map[string]string{queue: mail,},MatchExpressions:[]LabelSelectorRequirement{},}";
        assert_eq!(as_go(&selector), go);
    }
}

//! Why a pod was evicted, in Kubernetes' words, the blank at the end included.

use apimachinery::Quantity;
use k8s_openapi::api::core::v1::{Container, PodSpec};

use super::Pressure;
use super::judge::{Rule, Stocks};
use super::usage::{self, Usage};
use crate::resources;

/// A pod had to go because the node was short of something.
pub fn of_pressure(rule: &Rule, stocks: &Stocks, spec: &PodSpec, usage: Option<&Usage>) -> String {
    let resource = rule.signal.resource();
    let mut text = format!("The node was low on resource: {}. ", resource.name());
    if let Some(stock) = stocks.get(&rule.signal) {
        let (least, free) = (rule.least.of(stock.all), stock.free);
        text += &format!(
            "Threshold quantity: {}, available: {}. ",
            resource.print(least),
            resource.print(free)
        );
    }
    let containers = spec.init_containers.iter().flatten();
    for container in containers.chain(&spec.containers) {
        let used = usage.and_then(|usage| usage.containers.get(&container.name));
        let request = requested(container, resource.name());
        if let Some(used) = used
            && *used > usage::amount(request)
        {
            text += &format!(
                "Container {} was using {}, request is {request}, has larger consumption of {}. ",
                container.name,
                resource.print(*used),
                resource.name()
            );
        }
    }
    text
}

/// As the container says it: a limit is no request here.
fn requested(container: &Container, resource: &str) -> Quantity {
    let list = container.resources.as_ref();
    let list = list.and_then(|resources| resources.requests.as_ref());
    resources::amount(list, resource).unwrap_or(Quantity::ZERO)
}

/// A pod was not let in.
pub fn of_admission(pressure: &Pressure) -> String {
    let conditions = pressure.conditions().join(" ");
    format!("The node had condition: [{conditions}]. ")
}

pub fn of_empty_dir(volume: &str, limit: &str) -> String {
    format!("Usage of EmptyDir volume {volume:?} exceeds the limit {limit:?}. ")
}

pub fn of_pod_limit(limit: &Quantity) -> String {
    format!("Pod ephemeral local storage usage exceeds the total limit of containers {limit}. ")
}

pub fn of_container_limit(container: &str, limit: &str) -> String {
    format!("Container {container} exceeded its local ephemeral storage limit {limit:?}. ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::eviction::signal::{Amount, Signal, Stock};

    #[test]
    fn a_message_names_threshold_amount_and_the_containers_to_blame() {
        let rule = Rule {
            signal: Signal::NodeFs,
            least: Amount::Percent(10.0),
            grace: None,
            reclaim: None,
        };
        let stock = Stock {
            free: 512 << 20,
            all: 10 << 30,
        };
        let stocks = Stocks::from([(Signal::NodeFs, stock)]);
        let spec = json!({ "containers": [
            { "name": "a" },
            { "name": "b", "resources": { "requests": { "ephemeral-storage": "1Gi" } } },
            { "name": "c", "resources": { "requests": { "ephemeral-storage": "100M" } } }] });
        let used = [("a", 166_088 << 10), ("b", 1 << 30), ("c", 1 << 30)];
        let usage = Usage {
            total: 0,
            containers: BTreeMap::from(used.map(|(name, used)| (name.to_owned(), used))),
        };
        let spec = serde_json::from_value(spec).unwrap();
        assert_eq!(
            of_pressure(&rule, &stocks, &spec, Some(&usage)),
            "The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi, available: 512Mi. \
             Container a was using 166088Ki, request is 0, has larger consumption of ephemeral-storage. \
             Container c was using 1Gi, request is 100M, has larger consumption of ephemeral-storage. "
        );
        assert_eq!(
            of_pressure(&rule, &Stocks::new(), &spec, None),
            "The node was low on resource: ephemeral-storage. "
        );
    }

    #[test]
    fn a_pod_is_refused_with_the_conditions() {
        let pressure = Pressure {
            memory: true,
            disk: true,
            processes: false,
        };
        assert_eq!(
            of_admission(&pressure),
            "The node had condition: [MemoryPressure DiskPressure]. "
        );
    }
}

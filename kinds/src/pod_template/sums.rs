//! What a pod's containers ask for together.

use std::collections::BTreeMap;

use apimachinery::Quantity;
use apimachinery::meta;
use serde_json::Value;

type Amounts = BTreeMap<String, Quantity>;

fn of(container: &Value) -> Amounts {
    let requests = meta::map(container, "resources.requests")
        .into_iter()
        .flatten();
    requests
        .filter_map(|(name, amount)| Some((name.clone(), Quantity::from_json(amount).ok()?)))
        .collect()
}

fn add(total: &mut Amounts, amounts: &Amounts) {
    for (name, amount) in amounts {
        let sum = total.entry(name.clone()).or_default();
        *sum += *amount;
    }
}

fn raise(total: &mut Amounts, amounts: &Amounts) {
    for (name, amount) in amounts {
        let most = total.entry(name.clone()).or_default();
        *most = (*most).max(*amount);
    }
}

/// Containers and sidecars run together; each init container runs alone, beside the
/// sidecars started before it.
pub fn requests(spec: &Value) -> Amounts {
    let mut together = Amounts::new();
    for container in meta::items(spec, "containers") {
        add(&mut together, &of(container));
    }
    let (mut sidecars, mut alone) = (Amounts::new(), Amounts::new());
    for container in meta::items(spec, "initContainers") {
        let mut now = of(container);
        if meta::text(container, "restartPolicy") == "Always" {
            add(&mut together, &now);
            add(&mut sidecars, &now);
            now = sidecars.clone();
        } else {
            add(&mut now, &sidecars);
        }
        raise(&mut alone, &now);
    }
    raise(&mut together, &alone);
    together
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_init_container_counts_only_where_it_asks_for_more_than_all_that_run_later() {
        let asks = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu}}});
        let sidecar = json!({"restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}});
        let sum = |init: &str| {
            let spec = json!({"containers": [asks("1"), asks("2")], "initContainers": [sidecar, asks(init)]});
            requests(&spec)["cpu"].to_string()
        };
        assert_eq!(sum("1"), "4");
        assert_eq!(sum("7"), "8");
    }
}

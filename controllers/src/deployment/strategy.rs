//! `maxSurge` and `maxUnavailable` as numbers of pods.

use apimachinery::int_or_percent::{Rounding, resolve};
use serde_json::Value;

use crate::object::Deployment;

/// How far a rollout may stray from the wanted number of pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slack {
    pub surge: i32,
    pub unavailable: i32,
}

/// A Deployment that may neither go up nor down could not move; it may go down by one.
pub fn slack(deployment: &Deployment) -> Slack {
    let strategy = &deployment.spec.strategy;
    if strategy.type_.as_deref() == Some("Recreate") || deployment.spec.replicas == 0 {
        return Slack {
            surge: 0,
            unavailable: 0,
        };
    }
    let rolling = strategy.rolling_update.clone().unwrap_or_default();
    let total = i64::from(deployment.spec.replicas);
    let surge = count(&rolling.max_surge, total, Rounding::Up);
    let unavailable = count(&rolling.max_unavailable, total, Rounding::Down);
    let unavailable = if surge == 0 && unavailable == 0 {
        1
    } else {
        unavailable
    };
    Slack {
        surge,
        unavailable: unavailable.min(deployment.spec.replicas),
    }
}

fn count(value: &Value, total: i64, rounding: Rounding) -> i32 {
    let resolved = resolve(value, total, rounding).unwrap_or(0);
    i32::try_from(resolved).unwrap_or(i32::MAX)
}

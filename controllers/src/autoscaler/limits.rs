//! How far and how fast the number of pods may change.

use std::collections::VecDeque;

use apimachinery::selector::LabelSelector;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v2::{
    HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscalerSpec,
};

/// Without a word of the autoscaler, the highest recommendation of so long counts.
const DOWN_WINDOW: i32 = 300;
/// Nothing older is asked for: the longest window that may be said.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(1);

/// What one autoscaler recommended and did of late.
#[derive(Debug, Default)]
pub struct Memory {
    recommended: VecDeque<(Timestamp, i32)>,
    /// Changes of the number of pods, up above zero.
    changes: VecDeque<(Timestamp, i32)>,
    /// The pods that it scales by.
    pub selector: Option<LabelSelector>,
}

/// Why a number is not what was recommended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    pub reason: &'static str,
    pub message: &'static str,
}

const fn why(reason: &'static str, message: &'static str) -> Why {
    Why { reason, message }
}

const READY: Why = why("ReadyForNewScale", "recommended size matches current size");
const UP_STABILIZED: Why = why(
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
);
const DOWN_STABILIZED: Why = why(
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
);
const WITHIN: Why = why(
    "DesiredWithinRange",
    "the desired count is within the acceptable range",
);
const TOO_MANY: Why = why(
    "TooManyReplicas",
    "the desired replica count is more than the maximum replica count",
);
const TOO_FEW: Why = why(
    "TooFewReplicas",
    "the desired replica count is less than the minimum replica count",
);
const UP_LIMIT: Why = why(
    "ScaleUpLimit",
    "the desired replica count is increasing faster than the maximum scale rate",
);
const DOWN_LIMIT: Why = why(
    "ScaleDownLimit",
    "the desired replica count is decreasing faster than the maximum scale rate",
);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limited {
    pub replicas: i32,
    /// For the condition `AbleToScale`.
    pub stabilized: Why,
    /// For the condition `ScalingLimited`, which holds where `is_limited`.
    pub limited: Why,
    pub is_limited: bool,
}

impl Memory {
    /// A controller that starts does not scale down at once.
    pub fn start(&mut self, current: i32, now: Timestamp) {
        if self.recommended.is_empty() {
            self.recommended.push_back((now, current));
        }
    }

    pub fn changed(&mut self, from: i32, to: i32, now: Timestamp) {
        self.changes.push_back((now, to - from));
    }

    fn recommend(&mut self, replicas: i32, now: Timestamp) {
        self.recommended.push_back((now, replicas));
        let is_old = |at: &(Timestamp, i32)| at.0 + REMEMBERED < now;
        for list in [&mut self.recommended, &mut self.changes] {
            while list.front().is_some_and(is_old) {
                list.pop_front();
            }
        }
    }

    /// Of the last `seconds`, without those of just then.
    fn since(&self, seconds: i32, now: Timestamp) -> impl Iterator<Item = i32> {
        let start = now - SignedDuration::from_secs(seconds.into());
        let recent = self.recommended.iter().filter(move |(at, _)| *at > start);
        recent.map(|(_, replicas)| *replicas)
    }

    /// The number of pods at the beginning of the period.
    fn replicas_before(&self, current: i32, seconds: i32, now: Timestamp) -> i32 {
        let start = now - SignedDuration::from_secs(seconds.into());
        let changes = self.changes.iter().filter(|(at, _)| *at > start);
        current - changes.map(|(_, change)| change).sum::<i32>()
    }
}

/// What becomes of a recommendation.
pub fn limit(
    spec: &HorizontalPodAutoscalerSpec,
    memory: &mut Memory,
    current: i32,
    recommended: i32,
    now: Timestamp,
) -> Limited {
    let behavior = spec.behavior.as_ref();
    let up = behavior.and_then(|b| b.scale_up.as_ref());
    let down = behavior.and_then(|b| b.scale_down.as_ref());
    let (stable, stabilized) = match behavior {
        None => stable_downwards(memory, recommended, now),
        Some(_) => stable(memory, current, recommended, up, down, now),
    };
    memory.recommend(recommended, now);
    let least = spec.min_replicas.unwrap_or(1);
    let most = spec.max_replicas;
    let (lowest, highest) = match behavior {
        None => {
            let limit = current.saturating_mul(2).max(4);
            ((least, TOO_FEW), nearer(most, limit))
        }
        Some(_) => (
            lowest(memory, current, stable, least, down, now),
            highest(memory, current, stable, most, up, now),
        ),
    };
    let (replicas, limited) = if stable < lowest.0 {
        lowest
    } else if stable > highest.0 {
        highest
    } else {
        (stable, WITHIN)
    };
    Limited {
        replicas,
        stabilized,
        limited,
        is_limited: replicas != stable,
    }
}

fn nearer(most: i32, limit: i32) -> (i32, Why) {
    if most > limit {
        (limit, UP_LIMIT)
    } else {
        (most, TOO_MANY)
    }
}

fn stable_downwards(memory: &Memory, recommended: i32, now: Timestamp) -> (i32, Why) {
    let recent = memory.since(DOWN_WINDOW, now).max().unwrap_or(recommended);
    if recent > recommended {
        (recent, DOWN_STABILIZED)
    } else {
        (recommended, READY)
    }
}

/// No higher than the lowest of the time for going up, no lower than the
/// highest of the time for going down.
fn stable(
    memory: &Memory,
    current: i32,
    recommended: i32,
    up: Option<&HPAScalingRules>,
    down: Option<&HPAScalingRules>,
    now: Timestamp,
) -> (i32, Why) {
    let window = |rules: Option<&HPAScalingRules>, default| {
        let said = rules.and_then(|r| r.stabilization_window_seconds);
        said.unwrap_or(default)
    };
    let lower = memory.since(window(up, 0), now).fold(recommended, i32::min);
    let upper = memory
        .since(window(down, DOWN_WINDOW), now)
        .fold(recommended, i32::max);
    let stable = current.max(lower).min(upper);
    let why = match stable == recommended {
        true => READY,
        false if recommended >= current => UP_STABILIZED,
        false => DOWN_STABILIZED,
    };
    (stable, why)
}

fn highest(
    memory: &Memory,
    current: i32,
    wanted: i32,
    most: i32,
    rules: Option<&HPAScalingRules>,
    now: Timestamp,
) -> (i32, Why) {
    if wanted <= current {
        return (i32::MAX, WITHIN);
    }
    let limit = by_policies(memory, current, rules, Way::Up, now);
    nearer(most, limit.map_or(i32::MAX, |limit| limit.max(current)))
}

fn lowest(
    memory: &Memory,
    current: i32,
    wanted: i32,
    least: i32,
    rules: Option<&HPAScalingRules>,
    now: Timestamp,
) -> (i32, Why) {
    if wanted >= current {
        return (i32::MIN, WITHIN);
    }
    let limit = by_policies(memory, current, rules, Way::Down, now);
    let limit = limit.map_or(i32::MIN, |limit| limit.min(current));
    if least < limit {
        (limit, DOWN_LIMIT)
    } else {
        (least, TOO_FEW)
    }
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Up,
    Down,
}

impl Way {
    /// How far a policy lets the number go from `start`.
    fn limit(self, start: i32, policy: &HPAScalingPolicy) -> i32 {
        let part = f64::from(start) * f64::from(policy.value) / 100.0;
        match (self, policy.type_ == "Percent") {
            // Upwards: a small number must be able to grow at all.
            (Self::Up, true) => (f64::from(start) + part).ceil() as i32,
            (Self::Down, true) => (f64::from(start) - part) as i32,
            (Self::Up, false) => start.saturating_add(policy.value),
            (Self::Down, false) => start.saturating_sub(policy.value),
        }
    }
}

/// The number that the policies allow: `Max` picks the one of the greatest
/// change, `Min` that of the least, `Disabled` allows none.
fn by_policies(
    memory: &Memory,
    current: i32,
    rules: Option<&HPAScalingRules>,
    way: Way,
    now: Timestamp,
) -> Option<i32> {
    let rules = rules?;
    let policies = rules.policies.as_deref().unwrap_or_default().iter();
    let limits = policies.map(|policy| {
        let start = memory.replicas_before(current, policy.period_seconds, now);
        way.limit(start, policy)
    });
    match (rules.select_policy.as_deref(), way) {
        (Some("Disabled"), _) => Some(current),
        (Some("Min"), Way::Up) => limits.min(),
        (Some("Min"), Way::Down) => limits.max(),
        (_, Way::Up) => limits.max(),
        (_, Way::Down) => limits.min(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn spec(behavior: Value) -> HorizontalPodAutoscalerSpec {
        let target = json!({ "kind": "Deployment", "name": "web" });
        let spec = json!({ "minReplicas": 2, "maxReplicas": 50, "scaleTargetRef": target, "behavior": behavior });
        serde_json::from_value(spec).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(10_000 + second).unwrap()
    }

    fn rules(select: &str, window: i32, policies: Value) -> Value {
        json!({ "selectPolicy": select, "stabilizationWindowSeconds": window, "policies": policies })
    }

    fn policy(type_: &str, value: i32, period: i32) -> Value {
        json!({ "type": type_, "value": value, "periodSeconds": period })
    }

    fn outcome(limited: &Limited) -> (i32, &str, &str) {
        (
            limited.replicas,
            limited.stabilized.reason,
            limited.limited.reason,
        )
    }

    #[test]
    fn without_rules_pods_at_most_double_and_stay_in_range() {
        let (spec, mut memory) = (spec(Value::Null), Memory::default());
        let up = limit(&spec, &mut memory, 10, 30, at(0));
        assert_eq!(outcome(&up), (20, "ReadyForNewScale", "ScaleUpLimit"));
        assert!(up.is_limited);
        let top = limit(&spec, &mut memory, 40, 90, at(1));
        assert_eq!(outcome(&top), (50, "ReadyForNewScale", "TooManyReplicas"));
        let few = limit(&spec, &mut Memory::default(), 10, 1, at(2));
        assert_eq!(outcome(&few), (2, "ReadyForNewScale", "TooFewReplicas"));
    }

    #[test]
    fn scaling_down_waits_for_five_minutes_of_lower_recommendations() {
        let (spec, mut memory) = (spec(Value::Null), Memory::default());
        memory.start(10, at(0));
        let soon = limit(&spec, &mut memory, 10, 5, at(15));
        assert_eq!(
            outcome(&soon),
            (10, "ScaleDownStabilized", "DesiredWithinRange")
        );
        let late = limit(&spec, &mut memory, 10, 5, at(301));
        assert_eq!(
            outcome(&late),
            (5, "ReadyForNewScale", "DesiredWithinRange")
        );
    }

    #[test]
    fn policies_bound_the_change_within_their_period() {
        let policies = json!([policy("Pods", 4, 60), policy("Percent", 10, 60)]);
        let both = |select| json!({ "scaleUp": rules(select, 0, policies.clone()), "scaleDown": rules(select, 0, policies.clone()) });
        let replicas = |select, current, wanted| {
            let mut memory = Memory::default();
            limit(&spec(both(select)), &mut memory, current, wanted, at(0)).replicas
        };
        assert_eq!((replicas("Max", 20, 40), replicas("Min", 20, 40)), (24, 22));
        assert_eq!((replicas("Max", 20, 5), replicas("Min", 20, 5)), (16, 18));
        assert_eq!(
            (replicas("Disabled", 20, 40), replicas("Disabled", 20, 5)),
            (20, 20)
        );
    }

    #[test]
    fn what_was_changed_in_the_period_counts() {
        let up = json!({ "scaleUp": rules("Max", 0, json!([policy("Pods", 4, 60)])) });
        let (spec, mut memory) = (spec(up), Memory::default());
        memory.changed(10, 13, at(0));
        let limited = limit(&spec, &mut memory, 13, 40, at(30));
        assert_eq!(outcome(&limited), (14, "ReadyForNewScale", "ScaleUpLimit"));
        assert_eq!(limit(&spec, &mut memory, 13, 40, at(61)).replicas, 17);
    }

    #[test]
    fn scaling_up_can_wait_too() {
        let slow = json!({ "scaleUp": rules("Max", 60, json!([policy("Pods", 100, 60)])) });
        let (spec, mut memory) = (spec(slow), Memory::default());
        memory.start(10, at(0));
        let soon = limit(&spec, &mut memory, 10, 20, at(15));
        assert_eq!(
            outcome(&soon),
            (10, "ScaleUpStabilized", "DesiredWithinRange")
        );
        assert_eq!(limit(&spec, &mut memory, 10, 30, at(61)).replicas, 20);
    }
}

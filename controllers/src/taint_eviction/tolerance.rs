//! How long a pod stays on a tainted node.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Taint, Toleration};
use objects::taints::tolerates;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Stay,
    LeaveAfter(Duration),
    Leave,
}

/// What `tolerations` say to the `NoExecute` taints of the pod's node. Time
/// counts from when a taint was added, or, where it does not tell, from `seen`.
pub fn verdict(
    taints: &[Taint],
    tolerations: &[Toleration],
    seen: Timestamp,
    now: Timestamp,
) -> Verdict {
    let mut due: Option<Timestamp> = None;
    for taint in taints {
        let mut tolerating = tolerations
            .iter()
            .filter(|t| tolerates(t, taint))
            .peekable();
        if tolerating.peek().is_none() {
            return Verdict::Leave;
        }
        if let Some(seconds) = tolerating.filter_map(|t| t.toleration_seconds).min() {
            let since = taint.time_added.as_ref().map_or(seen, |t| t.0);
            let wait = SignedDuration::from_secs(seconds.max(0));
            let end = since.checked_add(wait).unwrap_or(Timestamp::MAX);
            due = Some(due.map_or(end, |due| due.min(end)));
        }
    }
    match due {
        None => Verdict::Stay,
        Some(due) if due <= now => Verdict::Leave,
        Some(due) => {
            Verdict::LeaveAfter(Duration::try_from(due.duration_since(now)).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn taints() -> Vec<Taint> {
        let taints =
            json!([{ "key": "k", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z" }]);
        serde_json::from_value(taints).unwrap()
    }

    fn after(seconds: i64, tolerations: serde_json::Value) -> Verdict {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let now = start + SignedDuration::from_secs(seconds);
        let tolerations: Vec<Toleration> = serde_json::from_value(tolerations).unwrap();
        verdict(&taints(), &tolerations, now, now)
    }

    #[test]
    fn pod_without_toleration_leaves_at_once() {
        assert_eq!(after(0, json!([])), Verdict::Leave);
        assert_eq!(
            after(0, json!([{ "key": "other", "operator": "Exists" }])),
            Verdict::Leave
        );
        assert_eq!(
            after(
                0,
                json!([{ "key": "k", "operator": "Exists", "effect": "NoSchedule" }])
            ),
            Verdict::Leave
        );
    }

    #[test]
    fn pod_stays_for_the_time_it_tolerates() {
        let tolerations = || json!([{ "key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 }]);
        assert_eq!(
            after(100, tolerations()),
            Verdict::LeaveAfter(Duration::from_secs(200))
        );
        assert_eq!(after(300, tolerations()), Verdict::Leave);
    }

    #[test]
    fn taint_that_does_not_tell_its_age_counts_from_when_it_was_seen() {
        let mut taints = taints();
        taints[0].time_added = None;
        let ten = json!([{ "key": "k", "operator": "Exists", "tolerationSeconds": 10 }]);
        let ten: Vec<Toleration> = serde_json::from_value(ten).unwrap();
        let seen: Timestamp = "2026-02-01T00:00:00Z".parse().unwrap();
        let at = |seconds| {
            verdict(
                &taints,
                &ten,
                seen,
                seen + SignedDuration::from_secs(seconds),
            )
        };
        assert_eq!(at(4), Verdict::LeaveAfter(Duration::from_secs(6)));
        assert_eq!(at(10), Verdict::Leave);
    }

    #[test]
    fn pod_that_tolerates_everything_stays() {
        assert_eq!(
            after(9999, json!([{ "operator": "Exists" }])),
            Verdict::Stay
        );
        assert_eq!(after(9999, json!([{ "key": "k" }])), Verdict::Stay);
    }

    #[test]
    fn shortest_of_the_times_counts() {
        let tolerations = json!([
            { "key": "k", "operator": "Exists", "tolerationSeconds": 50 },
            { "operator": "Exists", "tolerationSeconds": 20 }]);
        assert_eq!(
            after(0, tolerations),
            Verdict::LeaveAfter(Duration::from_secs(20))
        );
    }
}

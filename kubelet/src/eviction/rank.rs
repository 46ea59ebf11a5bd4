//! Which pod goes first when a node is short of something. Pure.

use std::cmp::Reverse;

use super::signal::Resource;

/// A pod, as far as its rank depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub priority: i32,
    /// What it asked for of the resource.
    pub request: u64,
    /// What it uses of it, if that could be found out.
    pub usage: Option<u64>,
}

/// Sorts pods, the first to go first: those of whom nothing is known, those that use more than they
/// asked for, those of less priority, those that are furthest over. Processes cannot be asked for.
pub fn rank<T>(resource: Resource, pods: &mut [T], standing: impl Fn(&T) -> Standing) {
    pods.sort_by_cached_key(|pod| {
        let Standing {
            priority,
            request,
            usage,
        } = standing(pod);
        let used = usage.unwrap_or(0);
        let over = i128::from(used) - i128::from(request);
        match resource {
            Resource::Processes => (false, false, priority, Reverse(i128::from(used))),
            _ => (
                usage.is_some(),
                usage.is_some() && over <= 0,
                priority,
                Reverse(over),
            ),
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (name, priority, request, usage)
    type Row = (&'static str, i32, u64, Option<u64>);

    fn order(resource: Resource, rows: &[Row]) -> Vec<&'static str> {
        let mut rows = rows.to_vec();
        rank(resource, &mut rows, |(_, priority, request, usage)| {
            Standing {
                priority: *priority,
                request: *request,
                usage: *usage,
            }
        });
        rows.into_iter().map(|row| row.0).collect()
    }

    #[test]
    fn pods_go_by_excess_then_priority_then_amount() {
        let rows = [
            ("within", -10, 100, Some(90)),
            ("at its request", 0, 100, Some(100)),
            ("important and far over", 1000, 100, Some(900)),
            ("a little over", 0, 100, Some(110)),
            ("further over", 0, 300, Some(320)),
            ("far below", 0, 500, Some(10)),
            ("unknown", 1000, 100, None),
            ("best effort", 0, 0, Some(5)),
        ];
        let expected = [
            "unknown",
            "further over",
            "a little over",
            "best effort",
            "important and far over",
            "within",
            "at its request",
            "far below",
        ];
        assert_eq!(order(Resource::Memory, &rows), expected);
        assert_eq!(order(Resource::Disk, &rows), expected);
    }

    #[test]
    fn pods_with_processes_go_by_priority_then_number() {
        let rows = [
            ("few", 0, 0, Some(2)),
            ("many and important", 10, 0, Some(900)),
            ("unknown", 0, 0, None),
            ("many", 0, 0, Some(800)),
        ];
        let expected = ["many", "few", "unknown", "many and important"];
        assert_eq!(order(Resource::Processes, &rows), expected);
    }
}

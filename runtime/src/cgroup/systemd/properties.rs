//! The spec's limits as systemd's properties.
//!
//! The files are written besides; but systemd writes those it knows anew whenever
//! it reloads, and would write what it believes to be right.

use oci_spec::runtime::LinuxResources;

use super::Value;
use crate::cgroup::{Layout, v2};

type Property = (&'static str, Value);

/// systemd's word for "no limit".
const INFINITY: u64 = u64::MAX;

/// Which controllers the unit is to have.
pub fn accounting(layout: &Layout) -> Vec<Property> {
    let io = match layout {
        Layout::V1 { .. } => "BlockIOAccounting",
        Layout::V2 { .. } => "IOAccounting",
    };
    ["CPUAccounting", "MemoryAccounting", "TasksAccounting", io]
        .map(|name| (name, Value::Bool(true)))
        .to_vec()
}

pub fn of(resources: &LinuxResources, layout: &Layout) -> Vec<Property> {
    let is_v2 = matches!(layout, Layout::V2 { .. });
    let mut properties = Vec::new();
    let mut set = |name, value: Option<u64>| {
        properties.extend(value.map(|value| (name, Value::Number(value))));
    };
    if let Some(cpu) = resources.cpu() {
        let shares = cpu.shares().filter(|s| *s > 0);
        match is_v2 {
            true => set("CPUWeight", shares.map(v2::weight)),
            false => set("CPUShares", shares),
        }
        let period = cpu.period().filter(|p| *p > 0);
        set("CPUQuotaPeriodUSec", period.filter(|_| is_v2));
        let quota = cpu.quota().filter(|q| *q != 0);
        set(
            "CPUQuotaPerSecUSec",
            quota.map(|q| per_second(q, period.unwrap_or(100_000))),
        );
    }
    if let Some(memory) = resources.memory() {
        let (limit, swap) = (memory.limit().filter(|l| *l != 0), v2::swap_max(memory));
        match is_v2 {
            true => set("MemoryMax", limit.map(bytes)),
            false => set("MemoryLimit", limit.map(bytes)),
        }
        if is_v2 {
            let reservation = memory.reservation().filter(|r| *r != 0);
            set("MemoryLow", reservation.map(bytes));
            set("MemorySwapMax", swap.map(|s| s.parse().unwrap_or(INFINITY)));
        }
    }
    if let Some(pids) = resources.pids() {
        set(
            "TasksMax",
            Some(
                u64::try_from(pids.limit())
                    .ok()
                    .filter(|l| *l > 0)
                    .unwrap_or(INFINITY),
            ),
        );
    }
    properties
}

fn bytes(limit: i64) -> u64 {
    u64::try_from(limit).unwrap_or(INFINITY)
}

/// What of a second the quota is; systemd counts it in tens of milliseconds.
fn per_second(quota: i64, period: u64) -> u64 {
    const STEP: u64 = 10_000;
    match u64::try_from(quota) {
        Ok(quota) => (quota.saturating_mul(1_000_000) / period.max(1))
            .checked_next_multiple_of(STEP)
            .unwrap_or(INFINITY),
        Err(_) => INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_said_in_systemds_words() {
        let resources: LinuxResources = serde_json::from_str(
            r#"{"cpu": {"shares": 1024, "quota": 50000, "period": 100000}, "pids": {"limit": -1},
                "memory": {"limit": 1000, "swap": 3000, "reservation": 500}}"#,
        )
        .unwrap();
        let layout = Layout::V2 {
            mount: "/sys/fs/cgroup".into(),
        };
        let expected = [
            ("CPUWeight", 100),
            ("CPUQuotaPeriodUSec", 100_000),
            ("CPUQuotaPerSecUSec", 500_000),
            ("MemoryMax", 1000),
            ("MemoryLow", 500),
            ("MemorySwapMax", 2000),
            ("TasksMax", INFINITY),
        ];
        let expected = expected.map(|(name, value)| (name, Value::Number(value)));
        assert_eq!(of(&resources, &layout), expected);
    }

    #[test]
    fn an_odd_quota_is_rounded_up() {
        assert_eq!(per_second(12_345, 100_000), 130_000);
        assert_eq!(per_second(-1, 100_000), INFINITY);
    }
}

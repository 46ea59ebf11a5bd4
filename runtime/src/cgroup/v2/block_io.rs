//! The block I/O limits of the spec, which is v1's, as the files of v2.

use std::collections::BTreeMap;
use std::path::Path;

use oci_spec::runtime::LinuxBlockIo;

/// Which files get which values.
pub fn values(dir: &Path, io: &LinuxBlockIo) -> Vec<(String, String)> {
    let mut values = Vec::new();
    let has_bfq = dir.join("io.bfq.weight").exists();
    if let Some(weight) = io.weight().filter(|w| *w > 0) {
        values.push(match has_bfq {
            true => ("io.bfq.weight".to_owned(), weight.to_string()),
            false => (
                "io.weight".to_owned(),
                format!("default {}", scaled(weight)),
            ),
        });
    }
    for device in io.weight_device().iter().flatten() {
        if let Some(weight) = device.weight().filter(|w| *w > 0) {
            let id = format!("{}:{}", device.major(), device.minor());
            values.push(match has_bfq {
                true => ("io.bfq.weight".to_owned(), format!("{id} {weight}")),
                false => ("io.weight".to_owned(), format!("{id} {}", scaled(weight))),
            });
        }
    }
    values.extend(limits(io));
    values
}

/// One line a device with all its limits.
fn limits(io: &LinuxBlockIo) -> Vec<(String, String)> {
    let kinds = [
        ("rbps", io.throttle_read_bps_device()),
        ("wbps", io.throttle_write_bps_device()),
        ("riops", io.throttle_read_iops_device()),
        ("wiops", io.throttle_write_iops_device()),
    ];
    let mut lines: BTreeMap<(i64, i64), String> = BTreeMap::new();
    for (kind, devices) in kinds {
        for device in devices.iter().flatten() {
            let (major, minor) = (device.major(), device.minor());
            let line = lines
                .entry((major, minor))
                .or_insert_with(|| format!("{major}:{minor}"));
            // 0 is none.
            match device.rate() {
                0 => line.push_str(&format!(" {kind}=max")),
                rate => line.push_str(&format!(" {kind}={rate}")),
            }
        }
    }
    let line = |line| ("io.max".to_owned(), line);
    lines.into_values().map(line).collect()
}

/// A weight of 10..1000 as one of 1..10000, as runc does it.
fn scaled(weight: u16) -> u64 {
    1 + (u64::from(weight).clamp(10, 1000) - 10) * 9999 / 990
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_bfqs_own_where_it_is_and_scaled_elsewhere() {
        let io: LinuxBlockIo = serde_json::from_str(
            r#"{"weight": 1000, "weightDevice": [{"major": 8, "minor": 0, "weight": 10}]}"#,
        )
        .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let of = |dir: &Path| {
            values(dir, &io)
                .into_iter()
                .map(|(f, v)| format!("{f}: {v}"))
        };
        let plain: Vec<String> = of(dir.path()).collect();
        assert_eq!(plain, ["io.weight: default 10000", "io.weight: 8:0 1"]);
        std::fs::write(dir.path().join("io.bfq.weight"), "").unwrap();
        let bfq: Vec<String> = of(dir.path()).collect();
        assert_eq!(bfq, ["io.bfq.weight: 1000", "io.bfq.weight: 8:0 10"]);
    }

    #[test]
    fn the_limits_of_a_device_are_one_line() {
        let io: LinuxBlockIo = serde_json::from_str(
            r#"{"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 100}],
                "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 7}, {"major": 9, "minor": 1, "rate": 0}]}"#,
        )
        .unwrap();
        let lines: Vec<String> = limits(&io).into_iter().map(|(_, line)| line).collect();
        assert_eq!(lines, ["8:0 rbps=100 wiops=7", "9:1 wiops=max"]);
    }
}

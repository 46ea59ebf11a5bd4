//! The block I/O limits of a v1 group.

use std::path::Path;

use oci_spec::runtime::{LinuxBlockIo, LinuxThrottleDevice};

use super::apply::controller_of;
use crate::Result;
use crate::cgroup::{Group, write};

pub fn apply(group: &Group, io: &LinuxBlockIo) -> Result<()> {
    if *io == LinuxBlockIo::default() {
        return Ok(());
    }
    let Some(dir) = controller_of(group, "blkio")? else {
        return Ok(());
    };
    apply_weights(&dir, io)?;
    let limits = [
        (
            "blkio.throttle.read_bps_device",
            io.throttle_read_bps_device(),
        ),
        (
            "blkio.throttle.write_bps_device",
            io.throttle_write_bps_device(),
        ),
        (
            "blkio.throttle.read_iops_device",
            io.throttle_read_iops_device(),
        ),
        (
            "blkio.throttle.write_iops_device",
            io.throttle_write_iops_device(),
        ),
    ];
    for (file, devices) in limits {
        for device in devices.iter().flatten() {
            write(&dir.join(file), &line(device))?;
        }
    }
    Ok(())
}

fn line(device: &LinuxThrottleDevice) -> String {
    format!("{}:{} {}", device.major(), device.minor(), device.rate())
}

/// By the names of CFQ, which is gone since Linux 5.0, or of BFQ.
fn apply_weights(dir: &Path, io: &LinuxBlockIo) -> Result<()> {
    let file = |cfq: &str, bfq: &str| {
        let cfq = dir.join(cfq);
        if cfq.exists() { cfq } else { dir.join(bfq) }
    };
    if let Some(weight) = io.weight().filter(|w| *w > 0) {
        write(
            &file("blkio.weight", "blkio.bfq.weight"),
            &weight.to_string(),
        )?;
    }
    if let Some(weight) = io.leaf_weight().filter(|w| *w > 0) {
        write(&dir.join("blkio.leaf_weight"), &weight.to_string())?;
    }
    for device in io.weight_device().iter().flatten() {
        let id = format!("{}:{}", device.major(), device.minor());
        if let Some(weight) = device.weight().filter(|w| *w > 0) {
            let file = file("blkio.weight_device", "blkio.bfq.weight_device");
            write(&file, &format!("{id} {weight}"))?;
        }
        if let Some(weight) = device.leaf_weight().filter(|w| *w > 0) {
            write(
                &dir.join("blkio.leaf_weight_device"),
                &format!("{id} {weight}"),
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_go_to_the_scheduler_that_is_there() {
        let io: LinuxBlockIo = serde_json::from_str(
            r#"{"weight": 300, "weightDevice": [{"major": 8, "minor": 1, "weight": 500}]}"#,
        )
        .unwrap();
        for names in [
            ["blkio.weight", "blkio.weight_device"],
            ["blkio.bfq.weight", "blkio.bfq.weight_device"],
        ] {
            let dir = tempfile::tempdir().unwrap();
            let paths = names.map(|name| dir.path().join(name));
            for path in &paths {
                std::fs::write(path, "").unwrap();
            }
            apply_weights(dir.path(), &io).unwrap();
            let written = paths.map(|path| std::fs::read_to_string(path).unwrap());
            assert_eq!(written, ["300", "8:1 500"]);
        }
    }
}

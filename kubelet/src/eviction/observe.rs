//! How much is free on this machine, now.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::judge::Stocks;
use super::signal::{Signal, Stock};
use crate::node::machine::{self, Room};

/// Where to look.
#[derive(Clone, Debug)]
pub struct Places {
    /// Holds pods: volumes and writable layers.
    pub node: PathBuf,
    pub images: PathBuf,
}

impl Places {
    pub fn look(&self) -> Stocks {
        let (node, images) = (machine::room(&self.node), machine::room(&self.images));
        let found = [
            (Signal::Memory, memory()),
            (Signal::NodeFs, node.map(bytes)),
            (Signal::NodeFsInodes, node.and_then(inodes)),
            (Signal::ImageFs, images.map(bytes)),
            (Signal::ImageFsInodes, images.and_then(inodes)),
            (Signal::Processes, processes()),
        ];
        let known = found.into_iter();
        known
            .filter_map(|(signal, stock)| Some((signal, stock?)))
            .collect()
    }

    /// Whether room made for one is room for the other.
    pub fn share_a_disk(&self) -> bool {
        let device = |path: &Path| std::fs::metadata(path).map(|meta| meta.dev()).ok();
        device(&self.node) == device(&self.images)
    }
}

/// All memory but the working set, which is what is used without the inactive file cache; nor is
/// counted what the kernel gives back when it is asked to.
fn memory() -> Option<Stock> {
    let amount = |name| u64::try_from(machine::memory(name)?).ok();
    let free = amount("MemFree")?
        + amount("Inactive(file)").unwrap_or(0)
        + amount("SReclaimable").unwrap_or(0);
    let all = amount("MemTotal")?;
    Some(Stock {
        free: free.min(all),
        all,
    })
}

fn bytes(room: Room) -> Stock {
    Stock {
        free: room.bytes_free,
        all: room.bytes,
    }
}

/// None of a file system that makes inodes as it needs them.
fn inodes(room: Room) -> Option<Stock> {
    (room.inodes > 0).then_some(Stock {
        free: room.inodes_free,
        all: room.inodes,
    })
}

fn processes() -> Option<Stock> {
    let (used, all) = machine::processes()?;
    Some(Stock {
        free: all.saturating_sub(used),
        all,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_some_of_everything() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places {
            node: dir.path().into(),
            images: dir.path().join("missing"),
        };
        let stocks = places.look();
        for signal in [Signal::Memory, Signal::NodeFs, Signal::Processes] {
            let stock = stocks[&signal];
            assert!(stock.all > 0 && stock.free <= stock.all, "{signal:?}");
        }
        assert_eq!(stocks.get(&Signal::ImageFs), None, "it is not there");
        assert!(!places.share_a_disk());
    }
}

//! When a node is short of something: the thresholds of Kubernetes' `--eviction-hard`.
//!
//! A node below one says so in its conditions, and takes no new pods until it is above again.
//! See <https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/>.

use std::path::Path;
use std::str::FromStr;

use apimachinery::quantity::Quantity;

use super::machine::{self, Room};

/// The signals that are looked at, each with the amount below which it is pressure.
/// A signal without an amount is never pressure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds([Option<Amount>; 4]);

/// What thresholds are about; the order is that of [`Thresholds`].
const SIGNALS: [&str; 4] = [
    "memory.available",
    "nodefs.available",
    "nodefs.inodesFree",
    "pid.available",
];

/// So much, or so large a part of all there is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Amount {
    Absolute(u64),
    Percent(f64),
}

/// What a node is short of.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Pressure {
    pub memory: bool,
    pub disk: bool,
    pub processes: bool,
}

/// So much is free, of so much.
#[derive(Clone, Copy)]
struct Stock {
    free: u64,
    all: u64,
}

impl Thresholds {
    /// Looks at the machine as it is now; the disk is the one that holds `data_dir`.
    pub fn look(&self, data_dir: &Path) -> Pressure {
        let room = machine::room(data_dir);
        self.judge([
            memory(),
            room.map(bytes),
            room.map(inodes),
            machine::processes().map(|(used, all)| Stock {
                free: all.saturating_sub(used),
                all,
            }),
        ])
    }

    /// What cannot be read is not pressure.
    fn judge(&self, stocks: [Option<Stock>; 4]) -> Pressure {
        let mut low = [false; 4];
        for ((low, threshold), stock) in low.iter_mut().zip(self.0).zip(stocks) {
            *low = threshold
                .zip(stock)
                .is_some_and(|(least, stock)| least.is_above(stock));
        }
        let [memory, bytes, inodes, processes] = low;
        Pressure {
            memory,
            disk: bytes || inodes,
            processes,
        }
    }
}

impl Amount {
    fn is_above(self, stock: Stock) -> bool {
        match self {
            Self::Absolute(least) => stock.free < least,
            Self::Percent(least) => percent(stock) < least,
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a share of a disk needs no more digits"
)]
fn percent(stock: Stock) -> f64 {
    100.0 * stock.free as f64 / stock.all.max(1) as f64
}

fn memory() -> Option<Stock> {
    let amount = |name| u64::try_from(machine::memory(name)?).ok();
    Some(Stock {
        free: amount("MemAvailable")?,
        all: amount("MemTotal")?,
    })
}

fn bytes(room: Room) -> Stock {
    Stock {
        free: room.bytes_free,
        all: room.bytes,
    }
}

fn inodes(room: Room) -> Stock {
    Stock {
        free: room.inodes_free,
        all: room.inodes,
    }
}

/// Kubernetes' own, but for the file system of images, which is skiff's data directory too.
pub const DEFAULT: &str =
    "memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%,pid.available<10%";

/// Reads Kubernetes' words: `memory.available<100Mi,nodefs.available<10%`. Signals that are
/// not named are not looked at, and no text at all means none.
impl FromStr for Thresholds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut thresholds = Self([None; 4]);
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (signal, amount) = part.split_once('<').ok_or_else(|| {
                format!("{part:?} is not a threshold such as nodefs.available<10%")
            })?;
            let place = SIGNALS.iter().position(|known| *known == signal);
            let place = place.ok_or_else(|| {
                format!(
                    "{signal:?} is not a signal; known are {}",
                    SIGNALS.join(", ")
                )
            })?;
            if thresholds.0[place].replace(amount.parse()?).is_some() {
                return Err(format!("{signal} is named twice"));
            }
        }
        Ok(thresholds)
    }
}

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let amount = match text.strip_suffix('%') {
            Some(percent) => percent
                .parse()
                .ok()
                .filter(|percent| (0.0..=100.0).contains(percent))
                .map(Self::Percent),
            None => text
                .parse::<Quantity>()
                .ok()
                .and_then(|amount| u64::try_from(amount.value()).ok())
                .map(Self::Absolute),
        };
        amount.ok_or_else(|| {
            format!("{text:?} is neither an amount such as 1Gi nor a part such as 10%")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(free: u64) -> Option<Stock> {
        Some(Stock {
            free,
            all: 1000 << 20,
        })
    }

    #[test]
    fn each_signal_is_pressure_below_its_amount_only() {
        let plenty = free(500 << 20);
        let by_default = |stocks| DEFAULT.parse::<Thresholds>().unwrap().judge(stocks);
        assert_eq!(by_default([plenty; 4]), Pressure::default());
        assert_eq!(by_default([None; 4]), Pressure::default());
        assert!(by_default([free(99 << 20), plenty, plenty, plenty]).memory);
        assert!(by_default([plenty, free(99 << 20), plenty, plenty]).disk);
        assert!(!by_default([plenty, free(100 << 20), plenty, plenty]).disk);
        assert!(by_default([plenty, plenty, free(49 << 20), plenty]).disk);
        assert!(by_default([plenty, plenty, plenty, free(1)]).processes);
    }

    #[test]
    fn signals_that_are_not_named_are_not_looked_at() {
        let thresholds: Thresholds = "nodefs.available<1Gi".parse().unwrap();
        let nothing = free(0);
        let found = thresholds.judge([nothing; 4]);
        assert_eq!(
            (found.memory, found.disk, found.processes),
            (false, true, false)
        );
        let none: Thresholds = "".parse().unwrap();
        assert_eq!(none.judge([nothing; 4]), Pressure::default());
    }

    #[test]
    fn what_is_no_threshold_is_refused_by_name() {
        let refused = |text: &str| text.parse::<Thresholds>().unwrap_err();
        assert!(refused("nodefs.available").contains("not a threshold"));
        assert!(refused("cpu.available<1").contains("not a signal; known are memory.available"));
        for amount in ["", "x", "-1", "-1%", "101%", "NaN%"] {
            let text = format!("nodefs.available<{amount}");
            assert!(refused(&text).contains("neither an amount"), "{text}");
        }
        assert!(refused("pid.available<1%,pid.available<2%").contains("twice"));
    }
}

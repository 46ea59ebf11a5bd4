//! What is looked at on a node: the signals of Kubernetes' node-pressure eviction.

use apimachinery::quantity::{Format, Quantity};

use super::Pressure;

/// Something a node can be short of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// What is not in the machine's working set.
    Memory,
    /// The file system of the pods: volumes, writable layers, logs.
    NodeFs,
    NodeFsInodes,
    /// The file system of the images; it may be the same.
    ImageFs,
    ImageFsInodes,
    Processes,
}

/// What is taken from pods to have more of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    Memory,
    Disk,
    Inodes,
    Processes,
}

impl Signal {
    /// In the order in which they are relieved: memory is what kills a node first.
    pub const ALL: [Self; 6] = [
        Self::Memory,
        Self::NodeFs,
        Self::NodeFsInodes,
        Self::ImageFs,
        Self::ImageFsInodes,
        Self::Processes,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory.available",
            Self::NodeFs => "nodefs.available",
            Self::NodeFsInodes => "nodefs.inodesFree",
            Self::ImageFs => "imagefs.available",
            Self::ImageFsInodes => "imagefs.inodesFree",
            Self::Processes => "pid.available",
        }
    }

    /// # Errors
    /// There is no such signal; the text names those there are.
    pub fn parse(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|signal| signal.name() == name);
        found.ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            format!("{name:?} is not a signal; known are {known}")
        })
    }

    pub fn resource(self) -> Resource {
        match self {
            Self::Memory => Resource::Memory,
            Self::NodeFs | Self::ImageFs => Resource::Disk,
            Self::NodeFsInodes | Self::ImageFsInodes => Resource::Inodes,
            Self::Processes => Resource::Processes,
        }
    }

    /// Notes in the node's conditions that it is short of this.
    pub fn press(self, pressure: &mut Pressure) {
        match self.resource() {
            Resource::Memory => pressure.memory = true,
            Resource::Disk | Resource::Inodes => pressure.disk = true,
            Resource::Processes => pressure.processes = true,
        }
    }
}

impl Resource {
    /// Kubernetes' word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "ephemeral-storage",
            Self::Inodes => "inodes",
            Self::Processes => "pids",
        }
    }

    /// An amount of it as Kubernetes prints it.
    pub fn print(self, amount: u64) -> String {
        let amount = i64::try_from(amount).unwrap_or(i64::MAX);
        let format = match self {
            Self::Memory | Self::Disk => Format::BinarySi,
            Self::Inodes | Self::Processes => Format::DecimalSi,
        };
        Quantity::from_int(amount, format).to_string()
    }
}

/// So much is free, of so much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stock {
    pub free: u64,
    pub all: u64,
}

/// So much, or so large a part of all there is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    Absolute(u64),
    Percent(f64),
}

impl Amount {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a disk needs no more digits, and is less than the disk"
    )]
    pub fn of(self, all: u64) -> u64 {
        match self {
            Self::Absolute(amount) => amount,
            Self::Percent(percent) => (all as f64 * percent / 100.0) as u64,
        }
    }
}

impl std::str::FromStr for Amount {
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

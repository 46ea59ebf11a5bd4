//! The store's promises, against disks that break and processes that die.

#[cfg(test)]
mod backup;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod fake_disk;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod flaky;
#[cfg(test)]
mod format;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod promises;
#[cfg(test)]
mod quota;

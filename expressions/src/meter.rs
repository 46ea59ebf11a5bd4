//! What evaluations cost, and where they stop.
//!
//! The interpreter cannot be interrupted, so the program itself pays: compiling puts a
//! charge on every turn of a loop and on every value whose handling depends on its size
//! (see `compile::metering`), and the library charges for what it makes. One unit is
//! about one node of the expression, or ten bytes of text touched. Evaluation stays on
//! one thread, so the purse in use is a thread's own.

use std::cell::Cell;

use cel::ExecutionError;

/// What several evaluations together may still cost.
#[derive(Clone, Debug)]
pub struct Budget {
    left: u64,
    per_call: u64,
}

impl Budget {
    /// What one evaluation may cost.
    pub const PER_CALL: u64 = 1_000_000;
    /// What all rules of one object, or one policy, may cost together.
    pub const PER_OBJECT: u64 = 10_000_000;
    /// What all match conditions of one request may cost together.
    pub const MATCH_CONDITIONS: u64 = Self::PER_OBJECT / 4;

    pub fn new(total: u64) -> Self {
        Self {
            left: total,
            per_call: Self::PER_CALL,
        }
    }

    pub fn left(&self) -> u64 {
        self.left
    }

    /// What the next evaluation may cost.
    pub(crate) fn next_call(&self) -> u64 {
        self.left.min(self.per_call)
    }

    pub(crate) fn spend(&mut self, cost: u64) {
        self.left = self.left.saturating_sub(cost);
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(Self::PER_OBJECT)
    }
}

thread_local! {
    static LEFT: Cell<u64> = const { Cell::new(u64::MAX) };
    static EMPTY: Cell<bool> = const { Cell::new(false) };
}

/// The purse of the evaluation this thread is in; ends with it.
pub struct Purse {
    given: u64,
    before: (u64, bool),
}

impl Purse {
    pub fn open(limit: u64) -> Self {
        let before = (LEFT.get(), EMPTY.get());
        LEFT.set(limit);
        EMPTY.set(false);
        Self {
            given: limit,
            before,
        }
    }

    /// More was asked for than was left, whatever the expression made of that.
    pub fn is_empty(&self) -> bool {
        EMPTY.get()
    }

    pub fn spent(&self) -> u64 {
        self.given - LEFT.get()
    }
}

impl Drop for Purse {
    fn drop(&mut self) {
        LEFT.set(self.before.0);
        EMPTY.set(self.before.1);
    }
}

/// Takes `cost` from the purse.
///
/// # Errors
/// Not enough is left. Once that has happened every further charge fails too, so an
/// expression that swallows the error still ends soon.
pub fn charge(cost: u64) -> Result<(), ExecutionError> {
    match LEFT.get().checked_sub(cost) {
        Some(left) if !EMPTY.get() => {
            LEFT.set(left);
            Ok(())
        }
        _ => {
            LEFT.set(0);
            EMPTY.set(true);
            Err(ExecutionError::function_error(
                "cost",
                "operation cancelled: actual cost limit exceeded",
            ))
        }
    }
}

/// Takes what going through `bytes` of text costs.
pub fn charge_text(bytes: usize) -> Result<(), ExecutionError> {
    charge(1 + bytes as u64 / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_purse_stays_empty() {
        let purse = Purse::open(10);
        assert!(charge(7).is_ok());
        assert!(charge(4).is_err());
        assert!(charge(1).is_err());
        assert!(purse.is_empty());
        assert_eq!(purse.spent(), 10);
    }

    #[test]
    fn a_purse_within_another_gives_it_back() {
        let outer = Purse::open(10);
        drop(Purse::open(1));
        assert!(charge(10).is_ok());
        assert!(!outer.is_empty());
    }
}

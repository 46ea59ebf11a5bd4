//! How many pods may be looked at before their back-off has passed.
//!
//! On a quiet cluster a pod that was just helped need not wait; on a busy one
//! back-off keeps thousands of pods that still do not fit from taking a core.

use std::time::Duration;

use tokio::time::Instant;

const GAP: Duration = Duration::from_millis(20);
const BURST: u32 = 50;

#[derive(Default)]
pub struct Allowance {
    /// When the last of `BURST` before the next one was due.
    paced: Option<Instant>,
}

impl Allowance {
    /// True if one more is allowed.
    pub fn take(&mut self, now: Instant) -> bool {
        let earliest = now.checked_sub(GAP * BURST).unwrap_or(now);
        let paced = self.paced.map_or(earliest, |paced| paced.max(earliest));
        let is_allowed = paced < now;
        if is_allowed {
            self.paced = Some(paced + GAP);
        }
        is_allowed
    }
}

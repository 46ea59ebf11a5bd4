//! What a write takes for itself before it is made, and gives back if it is not.

use apimachinery::Status;
use serde_json::Value;

use super::quota::Charge;
use crate::service_range::{Held, Services};

/// What came of the write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// It was not made and will not be.
    Refused,
    /// The store did not say. What was taken stays taken until it shows.
    Unknown,
}

impl Outcome {
    /// Of a write that comes to None when somebody else was faster.
    pub fn of<T>(written: &Result<Option<T>, Status>) -> Self {
        match written {
            Ok(Some(_)) => Self::Done,
            Ok(None) => Self::Refused,
            Err(status) if status.code < 500 => Self::Refused,
            Err(_) => Self::Unknown,
        }
    }
}

#[derive(Default)]
pub struct Reservation {
    pub(super) charge: Option<Charge>,
    pub(super) held: Option<Held>,
    /// A Service that gives up what its new state lacks, once the write is done.
    pub(super) gives_up: Option<Box<GivesUp>>,
}

pub(super) struct GivesUp {
    pub services: Services,
    pub old: Value,
    pub new: Value,
}

impl Reservation {
    /// Takes a Service's addresses and ports. When there are none to take, what was
    /// reserved before is given back.
    pub(super) async fn hold(
        &mut self,
        services: &Services,
        new: &mut Value,
        old: &Value,
        dry_run: bool,
    ) -> Result<(), Status> {
        match super::services::allocate(services, new, old, dry_run).await {
            Ok(held) => self.held = Some(held),
            Err(status) => {
                std::mem::take(self).settle(Outcome::Refused).await;
                return Err(status);
            }
        }
        Ok(())
    }

    pub async fn settle(self, outcome: Outcome) {
        match outcome {
            Outcome::Done => {
                if let Some(change) = self.gives_up {
                    change.services.release(&change.old, &change.new).await;
                }
            }
            Outcome::Refused => {
                if let Some(held) = self.held {
                    held.give_back().await;
                }
            }
            Outcome::Unknown => return,
        }
        if let Some(charge) = self.charge {
            charge.settle().await;
        }
    }
}

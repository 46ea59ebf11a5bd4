//! What to do next with a pod's containers: a pure function of what is known.
//!
//! Init containers run one after another; a sidecar lets the next one go once
//! it has started. Main containers start in order. When the last main container
//! is done, sidecars stop in reverse. Nothing here waits or touches the world.

use std::time::Duration;

use tokio::time::Instant;

use crate::record::{Next, Record, Role, Stage, State};

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Start(String),
    /// Not before `until`: it failed too often lately.
    BackOff {
        name: String,
        until: Instant,
        delay: Duration,
    },
    /// A sidecar nobody needs any more.
    Stop(String),
}

/// What a pod came to, once none of its containers will run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Succeeded,
    Failed,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub steps: Vec<Step>,
    /// When to plan again, if nothing happens before.
    pub wake: Option<Instant>,
    pub outcome: Option<Outcome>,
}

/// Decides what `records`, in the order of starting, need at `now`.
pub fn plan(records: &[Record], now: Instant) -> Plan {
    let mut planner = Planner {
        now,
        plan: Plan::default(),
    };
    for record in of(records, Role::Ephemeral).filter(|r| !r.ran) {
        planner.start(record);
    }
    let mains_done = of(records, Role::Main).all(Record::is_done);
    if mains_done {
        planner.finish(records);
    } else if planner.initialize(records) {
        planner.run(records);
    }
    planner.plan
}

/// Whether all init containers did their part.
pub fn is_initialized(records: &[Record]) -> bool {
    let begun = of(records, Role::Main).any(|record| record.begun);
    begun
        || records.iter().all(|record| match record.role {
            Role::Init => record.exit().is_some_and(|exit| exit.code == 0),
            Role::Sidecar => record.started,
            Role::Main | Role::Ephemeral => true,
        })
}

fn of(records: &[Record], role: Role) -> impl DoubleEndedIterator<Item = &Record> {
    records.iter().filter(move |record| record.role == role)
}

struct Planner {
    now: Instant,
    plan: Plan,
}

impl Planner {
    /// Brings init containers on; true when main containers may run.
    fn initialize(&mut self, records: &[Record]) -> bool {
        let begun = of(records, Role::Main).any(|record| record.begun);
        for record in records {
            let done = match record.role {
                Role::Init => begun || self.initialize_one(record),
                Role::Sidecar => self.keep_up(record) || begun,
                Role::Main | Role::Ephemeral => true,
            };
            if !done {
                return false;
            }
        }
        true
    }

    fn initialize_one(&mut self, record: &Record) -> bool {
        match &record.state {
            State::Exited(exit) if exit.code == 0 => return true,
            State::Exited(exit) if !record.restarts_after(exit.code) => {
                self.plan.outcome = Some(Outcome::Failed);
            }
            State::Running(_) => {}
            _ => self.start(record),
        }
        false
    }

    /// Keeps a sidecar running; true once it has started.
    fn keep_up(&mut self, record: &Record) -> bool {
        match &record.state {
            State::Running(_) => record.started,
            _ => {
                self.start(record);
                false
            }
        }
    }

    fn run(&mut self, records: &[Record]) {
        for record in of(records, Role::Main) {
            let busy = match &record.state {
                State::Running(running) => running.stage == Stage::Hook,
                State::Waiting(waiting) => waiting.next == Next::Launch,
                State::Exited(_) => false,
            };
            if busy {
                return; // The next one starts when this one has.
            }
            if record.running().is_none() && !record.is_done() {
                self.start(record);
                if matches!(self.plan.steps.last(), Some(Step::Start(name)) if *name == record.name)
                {
                    return;
                }
            }
        }
    }

    /// All main containers are done: sidecars go, the last started first.
    fn finish(&mut self, records: &[Record]) {
        if let Some(sidecar) = of(records, Role::Sidecar)
            .rev()
            .find(|r| r.running().is_some())
        {
            if sidecar
                .running()
                .is_some_and(|running| running.stage != Stage::Stopping)
            {
                self.plan.steps.push(Step::Stop(sidecar.name.clone()));
            }
            return;
        }
        let failed = of(records, Role::Main).any(|r| r.exit().is_some_and(|exit| exit.code != 0));
        self.plan.outcome = Some(if failed {
            Outcome::Failed
        } else {
            Outcome::Succeeded
        });
    }

    /// Starts a container that does not run, now or when its time has come.
    fn start(&mut self, record: &Record) {
        match &record.state {
            State::Running(_) => {}
            State::Waiting(waiting) => match waiting.next {
                Next::Launch => {}
                Next::Time(until) if until > self.now => self.wake_at(until),
                Next::Turn | Next::Time(_) => {
                    self.plan.steps.push(Step::Start(record.name.clone()))
                }
            },
            State::Exited(exit) => match record.back_off.until(exit.seen) {
                Some((until, delay)) if until > self.now => {
                    self.wake_at(until);
                    let name = record.name.clone();
                    self.plan.steps.push(Step::BackOff { name, until, delay });
                }
                _ => self.plan.steps.push(Step::Start(record.name.clone())),
            },
        }
    }

    fn wake_at(&mut self, time: Instant) {
        self.plan.wake = Some(self.plan.wake.map_or(time, |wake| wake.min(time)));
    }
}

#[cfg(test)]
mod tests;

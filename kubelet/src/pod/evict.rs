//! A pod that has to go for the node's sake, and what it can give back without going.

use tokio::sync::mpsc;

use super::message::Evicted;
use super::{Stage, Worker};
use crate::eviction::REASON;
use crate::record::Record;
use crate::status::Failure;

impl Worker {
    /// From here on the pod fails; what runs stops within the given time.
    pub(super) fn evict(&mut self, evicted: Evicted) {
        let is_late = matches!(self.stage, Stage::Ending | Stage::Ended | Stage::Gone);
        if is_late || self.failure.is_some() {
            return; // It goes already.
        }
        self.failure = Some(Failure {
            reason: REASON.to_owned(),
            message: evicted.message.clone(),
        });
        self.evicted = Some(evicted);
    }

    /// A pod that an agent before this one has evicted fails all the same.
    pub(super) fn remember_eviction(&mut self) {
        if self.status.reason.as_deref() == Some(REASON) {
            self.failure = Some(Failure {
                reason: REASON.to_owned(),
                message: self.status.message.clone().unwrap_or_default(),
            });
        }
    }

    /// Removes what ended runs left: all of those before the latest, the files of the latest but
    /// its log, and of a pod that has ended the logs too.
    pub(super) fn reclaim(&self, done: mpsc::Sender<()>) {
        let (dirs, has_ended) = (self.dirs.clone(), self.stage == Stage::Ended);
        let ended: Vec<_> = self.records.iter().filter_map(ended_runs).collect();
        tokio::task::spawn_blocking(move || {
            let remove = || {
                for (name, before, latest) in ended {
                    before.map_or(Ok(()), |run| dirs.remove_container(&name, run))?;
                    latest.map_or(Ok(()), |run| dirs.remove_layer(&name, run))?;
                }
                if has_ended {
                    dirs.remove_logs()
                } else {
                    Ok(())
                }
            };
            if let Err(e) = remove() {
                tracing::warn!("remove what is left of ended containers: {e}");
            }
            drop(done);
        });
    }
}

/// The run before the latest, and the latest if it has ended. Earlier ones are gone already.
fn ended_runs(record: &Record) -> Option<(String, Option<u32>, Option<u32>)> {
    let latest = (record.ran && record.running().is_none()).then_some(record.restarts);
    let before = record.restarts.checked_sub(1).filter(|_| record.ran);
    (latest.is_some() || before.is_some()).then(|| (record.name.clone(), before, latest))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::record::{Running, Stage as RunStage, State, Waiting, records_of};

    #[test]
    fn only_runs_that_have_ended_are_given_back() {
        let pod = json!({ "metadata": {}, "spec": { "containers": [{ "name": "c" }] } });
        let mut record = records_of(&serde_json::from_value(pod).unwrap()).remove(0);
        let name = || "c".to_owned();
        assert_eq!(ended_runs(&record), None);
        record.ran = true;
        record.wait(Waiting::default());
        assert_eq!(ended_runs(&record), Some((name(), None, Some(0))));
        record.state = State::Running(Running {
            id: "x".into(),
            started_at: jiff::Timestamp::UNIX_EPOCH,
            since: tokio::time::Instant::now(),
            stage: RunStage::Up,
        });
        assert_eq!(ended_runs(&record), None);
        record.restarts = 3;
        assert_eq!(ended_runs(&record), Some((name(), Some(2), None)));
    }
}

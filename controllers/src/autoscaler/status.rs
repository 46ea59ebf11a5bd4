//! An autoscaler's status while it is looked at.

use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::{
    HorizontalPodAutoscalerCondition, HorizontalPodAutoscalerStatus, MetricStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

pub const ABLE: &str = "AbleToScale";
pub const ACTIVE: &str = "ScalingActive";
pub const LIMITED: &str = "ScalingLimited";

pub struct Status {
    status: HorizontalPodAutoscalerStatus,
    pub now: Timestamp,
}

impl Status {
    pub fn new(status: HorizontalPodAutoscalerStatus, now: Timestamp) -> Self {
        Self { status, now }
    }

    /// Says a condition; its time is of when it began or ended to hold.
    pub fn set(&mut self, type_: &str, holds: bool, reason: &str, message: &str) {
        let fresh = HorizontalPodAutoscalerCondition {
            type_: type_.into(),
            status: if holds { "True" } else { "False" }.into(),
            reason: Some(reason.into()),
            message: Some(message.into()),
            last_transition_time: Some(Time(self.now)),
            observed_generation: None,
        };
        let conditions = self.status.conditions.get_or_insert_with(Vec::new);
        match conditions.iter_mut().find(|c| c.type_ == type_) {
            None => conditions.push(fresh),
            Some(old) if old.status == fresh.status => {
                let last_transition_time = old.last_transition_time.take();
                *old = HorizontalPodAutoscalerCondition {
                    last_transition_time,
                    ..fresh
                };
            }
            Some(old) => *old = fresh,
        }
    }

    pub fn measured(&mut self, metrics: Vec<MetricStatus>) {
        self.status.current_metrics = Some(metrics);
    }

    pub fn current(&mut self, replicas: i32) {
        self.status.current_replicas = Some(replicas);
    }

    pub fn sized(&mut self, current: i32, desired: i32) {
        self.current(current);
        self.status.desired_replicas = desired;
    }

    pub fn rescaled(&mut self) {
        self.status.last_scale_time = Some(Time(self.now));
    }

    pub fn done(self) -> HorizontalPodAutoscalerStatus {
        self.status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn condition_keeps_its_time_while_it_holds() {
        let (first, second) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
        let mut status = Status::new(HorizontalPodAutoscalerStatus::default(), first);
        status.set(ABLE, true, "SucceededGetScale", "a");
        let mut status = Status::new(status.done(), second);
        status.set(ABLE, true, "ReadyForNewScale", "b");
        status.set(ACTIVE, false, "ScalingDisabled", "c");
        let conditions = status.done().conditions.unwrap();
        let time = |i: usize| conditions[i].last_transition_time.as_ref().unwrap().0;
        assert_eq!((conditions.len(), time(0), time(1)), (2, first, second));
        assert_eq!(conditions[0].reason.as_deref(), Some("ReadyForNewScale"));
    }
}

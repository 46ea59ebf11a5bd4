//! Flags about a node that runs short of memory, disk or processes, under Kubernetes' names.

use std::time::Duration;

use clap::Args;

use crate::cluster_flags::parse_duration;

#[derive(Args, Clone, Debug)]
pub struct PressureFlags {
    /// What must be free on this node: below, it takes no pods and ends some; what is not named is
    /// not looked at
    #[arg(long, default_value = kubelet::DEFAULT_EVICTION_HARD, value_name = "SIGNAL<AMOUNT,...")]
    pub eviction_hard: kubelet::Thresholds,

    /// What should be free: below for its grace period, pods end with time to do so
    #[arg(long, default_value = "", value_name = "SIGNAL<AMOUNT,...")]
    pub eviction_soft: kubelet::Thresholds,

    /// How long a signal may be below its soft threshold
    #[arg(long, default_value = "", value_name = "SIGNAL=DURATION,...")]
    pub eviction_soft_grace_period: kubelet::GracePeriods,

    /// How far above its threshold a signal must come once it was below
    #[arg(long, default_value = "", value_name = "SIGNAL=AMOUNT,...")]
    pub eviction_minimum_reclaim: kubelet::MinimumReclaim,

    /// How long the node says that it is short after it no longer is
    #[arg(long, default_value = "5m", value_name = "DURATION", value_parser = parse_duration)]
    pub eviction_pressure_transition_period: Duration,

    /// Seconds that pods have to end at most when a soft threshold ends them
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    pub eviction_max_pod_grace_period: u32,

    /// Percent of the images' disk in use from which unused images go; 100 is never
    #[arg(long, default_value_t = 85, value_name = "PERCENT")]
    pub image_gc_high_threshold: u8,

    /// Percent of the images' disk in use that they are brought down to
    #[arg(long, default_value_t = 80, value_name = "PERCENT")]
    pub image_gc_low_threshold: u8,

    /// How long an image that nobody uses stays at least
    #[arg(long, default_value = "2m", value_name = "DURATION", value_parser = parse_duration)]
    pub minimum_image_ttl_duration: Duration,

    /// How long an image that nobody uses stays at most; 0s is for ever
    #[arg(long, default_value = "0s", value_name = "DURATION", value_parser = parse_duration)]
    pub image_maximum_gc_age: Duration,
}

impl PressureFlags {
    /// # Errors
    /// The flags do not fit together.
    pub fn eviction(&self) -> anyhow::Result<kubelet::Eviction> {
        let eviction = kubelet::Eviction {
            hard: self.eviction_hard.clone(),
            soft: self.eviction_soft.clone(),
            soft_grace: self.eviction_soft_grace_period.clone(),
            minimum_reclaim: self.eviction_minimum_reclaim.clone(),
            transition: self.eviction_pressure_transition_period,
            max_pod_grace: Duration::from_secs(self.eviction_max_pod_grace_period.into()),
        };
        eviction.check().map_err(anyhow::Error::msg)?;
        Ok(eviction)
    }

    /// # Errors
    /// The flags do not fit together.
    pub fn image_gc(&self) -> anyhow::Result<kubelet::ImageGc> {
        let flags = kubelet::ImageGc {
            high_threshold: self.image_gc_high_threshold,
            low_threshold: self.image_gc_low_threshold,
            minimum_age: self.minimum_image_ttl_duration,
            maximum_age: self.image_maximum_gc_age,
        };
        flags.check().map_err(anyhow::Error::msg)?;
        Ok(flags)
    }
}

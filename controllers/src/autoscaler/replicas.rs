//! How many pods a metric calls for.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

/// How long a new pod may be busy with starting.
const CPU_START: SignedDuration = SignedDuration::from_mins(5);
/// A pod that was not ready since this long after its start never was.
const FIRST_READY: SignedDuration = SignedDuration::from_secs(30);

/// What one pod was measured at, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    pub value: i64,
    pub at: Timestamp,
    pub window: SignedDuration,
}

/// Samples by the names of pods.
pub type Samples = BTreeMap<String, Sample>;

/// A pod of the target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodSeen {
    pub name: String,
    /// It is being deleted, or has failed.
    pub is_out: bool,
    pub is_pending: bool,
    pub started: Option<Timestamp>,
    /// Whether it is ready, and since when.
    pub ready: Option<(bool, Timestamp)>,
}

/// How far from its target a metric may be without a change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    pub up: f64,
    pub down: f64,
}

impl Tolerance {
    fn allows(self, ratio: f64) -> bool {
        1.0 - self.down <= ratio && ratio <= 1.0 + self.up
    }
}

/// A metric beside its target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    pub ratio: f64,
    /// Of one pod on average, in thousandths.
    pub average: i64,
    /// Per cent of what was requested.
    pub utilization: Option<i32>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Proposal {
    pub replicas: i32,
    pub usage: Usage,
}

/// What the pods are to be at.
pub enum Target<'a> {
    /// Each at this, in thousandths.
    Average(i64),
    /// All together at this many per cent of what they request, each so many thousandths.
    Utilization(i32, &'a BTreeMap<String, i64>),
}

impl Target<'_> {
    fn usage(&self, samples: &Samples) -> Result<Usage, String> {
        match self {
            Self::Average(target) => {
                let total: i64 = samples.values().map(|s| s.value).sum();
                let count = i64::try_from(samples.len()).unwrap_or(i64::MAX).max(1);
                let average = total / count;
                Ok(Usage {
                    ratio: average as f64 / *target as f64,
                    average,
                    utilization: None,
                })
            }
            Self::Utilization(target, requests) => utilization(samples, requests, *target),
        }
    }

    /// What a pod that says nothing is taken to use, so that nothing is scaled
    /// down on its silence.
    fn most(&self, pod: &str) -> i64 {
        match self {
            Self::Average(target) => *target,
            Self::Utilization(target, requests) => {
                let request = requests.get(pod).copied().unwrap_or(0);
                request.saturating_mul(i64::from(*target).max(100)) / 100
            }
        }
    }
}

fn utilization(
    samples: &Samples,
    requests: &BTreeMap<String, i64>,
    target: i32,
) -> Result<Usage, String> {
    let known = samples
        .iter()
        .filter_map(|(pod, sample)| Some((sample.value, *requests.get(pod)?)));
    let (mut used, mut requested, mut count) = (0i64, 0i64, 0i64);
    for (value, request) in known {
        used = used.saturating_add(value);
        requested = requested.saturating_add(request);
        count += 1;
    }
    if requested == 0 {
        return Err("no metrics returned matched known pods".into());
    }
    let percent = used.saturating_mul(100) / requested;
    Ok(Usage {
        ratio: percent as f64 / f64::from(target),
        average: used / count,
        utilization: Some(i32::try_from(percent).unwrap_or(i32::MAX)),
    })
}

/// The pods by what their metrics are worth.
#[derive(Debug, Default, PartialEq, Eq)]
struct Groups {
    ready: usize,
    unready: BTreeSet<String>,
    missing: BTreeSet<String>,
    ignored: BTreeSet<String>,
}

fn group(pods: &[PodSeen], samples: &Samples, is_cpu: bool, now: Timestamp) -> Groups {
    let mut groups = Groups::default();
    for pod in pods {
        let sample = samples.get(&pod.name);
        let group = match sample {
            _ if pod.is_out => &mut groups.ignored,
            _ if pod.is_pending => &mut groups.unready,
            None => &mut groups.missing,
            Some(sample) if is_cpu && is_starting(pod, sample, now) => &mut groups.unready,
            Some(_) => {
                groups.ready += 1;
                continue;
            }
        };
        group.insert(pod.name.clone());
    }
    groups
}

/// What a starting pod uses says nothing of what it will use.
fn is_starting(pod: &PodSeen, sample: &Sample, now: Timestamp) -> bool {
    let (Some(started), Some((is_ready, since))) = (pod.started, pod.ready) else {
        return true;
    };
    if started + CPU_START > now {
        return !is_ready || sample.at < since + sample.window;
    }
    !is_ready && started + FIRST_READY > since
}

/// What the pods' metrics call for. Pods that say nothing or are not ready hold
/// a change back, and never turn it around.
pub fn from_pods(
    current: i32,
    pods: &[PodSeen],
    mut samples: Samples,
    target: &Target,
    is_cpu: bool,
    tolerance: Tolerance,
    now: Timestamp,
) -> Result<Proposal, String> {
    if pods.is_empty() {
        return Err("no pods returned by selector while calculating replica count".into());
    }
    let groups = group(pods, &samples, is_cpu, now);
    samples.retain(|pod, _| !groups.ignored.contains(pod) && !groups.unready.contains(pod));
    if samples.is_empty() {
        let why = "did not receive metrics for targeted pods (pods might be unready)";
        return Err(why.into());
    }
    let usage = target.usage(&samples)?;
    let propose = |replicas| Proposal { replicas, usage };
    let counts_unready = !groups.unready.is_empty() && usage.ratio > 1.0;
    if !counts_unready && groups.missing.is_empty() {
        if tolerance.allows(usage.ratio) {
            return Ok(propose(current));
        }
        return Ok(propose(rounded_up(usage.ratio * groups.ready as f64)));
    }
    fill_in(&mut samples, &groups, target, usage.ratio, now);
    let cautious = target.usage(&samples)?.ratio;
    let is_turned = (usage.ratio < 1.0 && cautious > 1.0) || (usage.ratio > 1.0 && cautious < 1.0);
    if tolerance.allows(cautious) || is_turned {
        return Ok(propose(current));
    }
    let replicas = rounded_up(cautious * samples.len() as f64);
    let is_against =
        (cautious < 1.0 && replicas > current) || (cautious > 1.0 && replicas < current);
    Ok(propose(if is_against { current } else { replicas }))
}

fn fill_in(samples: &mut Samples, groups: &Groups, target: &Target, ratio: f64, now: Timestamp) {
    let sample = |value| Sample {
        value,
        at: now,
        window: SignedDuration::ZERO,
    };
    for pod in &groups.missing {
        if ratio < 1.0 {
            samples.insert(pod.clone(), sample(target.most(pod)));
        } else if ratio > 1.0 {
            samples.insert(pod.clone(), sample(0));
        }
    }
    if ratio > 1.0 {
        let unready = groups.unready.iter();
        samples.extend(unready.map(|pod| (pod.clone(), sample(0))));
    }
}

/// What one value for all of them calls for, of which `ready` are ready.
pub fn from_value(
    current: i32,
    ready: usize,
    value: i64,
    target: i64,
    tolerance: Tolerance,
) -> Proposal {
    let ratio = value as f64 / target as f64;
    let replicas = match current {
        0 => rounded_up(ratio),
        _ if tolerance.allows(ratio) => current,
        _ => rounded_up(ratio * ready as f64),
    };
    let usage = Usage {
        ratio,
        average: value,
        utilization: None,
    };
    Proposal { replicas, usage }
}

/// What one value, shared out among them, calls for.
pub fn from_share(current: i32, value: i64, target: i64, tolerance: Tolerance) -> Proposal {
    let ratio = value as f64 / (target as f64 * f64::from(current));
    let replicas = if tolerance.allows(ratio) {
        current
    } else {
        rounded_up(value as f64 / target as f64)
    };
    let average = (value as f64 / f64::from(current.max(1))).ceil() as i64;
    let usage = Usage {
        ratio,
        average,
        utilization: None,
    };
    Proposal { replicas, usage }
}

fn rounded_up(replicas: f64) -> i32 {
    replicas.ceil() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVEN: Tolerance = Tolerance { up: 0.1, down: 0.1 };

    fn now() -> Timestamp {
        "2026-01-01T01:00:00Z".parse().unwrap()
    }

    fn pods(count: usize) -> Vec<PodSeen> {
        let long_ago = "2026-01-01T00:00:00Z".parse().unwrap();
        let pod = |i| PodSeen {
            name: format!("p{i}"),
            started: Some(long_ago),
            ready: Some((true, long_ago)),
            ..PodSeen::default()
        };
        (0..count).map(pod).collect()
    }

    fn samples(values: &[i64]) -> Samples {
        let sample = |value: &i64| Sample {
            value: *value,
            at: now(),
            window: SignedDuration::from_secs(60),
        };
        let named = values.iter().enumerate();
        named
            .map(|(i, value)| (format!("p{i}"), sample(value)))
            .collect()
    }

    fn at_percent(
        target: i32,
        pods: &[PodSeen],
        values: &[i64],
    ) -> Result<(i32, Option<i32>), String> {
        let requests = pods.iter().map(|p| (p.name.clone(), 1000)).collect();
        let target = Target::Utilization(target, &requests);
        let current = i32::try_from(pods.len()).unwrap();
        let proposal = from_pods(current, pods, samples(values), &target, true, EVEN, now())?;
        Ok((proposal.replicas, proposal.usage.utilization))
    }

    #[test]
    fn replicas_follow_the_ratio_of_use_and_target() {
        let three = pods(3);
        assert_eq!(at_percent(30, &three, &[300, 500, 700]), Ok((5, Some(50))));
        assert_eq!(at_percent(100, &three, &[300, 500, 700]), Ok((2, Some(50))));
        assert_eq!(at_percent(50, &three, &[520, 540, 550]), Ok((3, Some(53))));
    }

    #[test]
    fn pods_that_say_nothing_hold_a_change_back() {
        let four = pods(4);
        assert_eq!(at_percent(50, &four, &[900, 900]).unwrap().0, 4);
        assert_eq!(at_percent(50, &four, &[100, 100, 100]).unwrap().0, 3);
    }

    #[test]
    fn starting_pods_are_no_reason_to_make_more() {
        let mut three = pods(3);
        three[1].ready = Some((false, now()));
        three[1].started = Some(now());
        three[2].is_pending = true;
        assert_eq!(at_percent(30, &three, &[800, 800]).unwrap().0, 3);
        three[0].is_out = true;
        let why = at_percent(30, &three, &[800, 800]).unwrap_err();
        assert!(why.starts_with("did not receive metrics"), "{why}");
    }

    #[test]
    fn average_value_is_of_the_pods_that_were_measured() {
        let target = Target::Average(15_000);
        let proposal = from_pods(
            3,
            &pods(3),
            samples(&[20_000, 10_000, 30_000]),
            &target,
            false,
            EVEN,
            now(),
        );
        assert_eq!(
            proposal.map(|p| (p.replicas, p.usage.average)),
            Ok((4, 20_000))
        );
    }

    #[test]
    fn value_for_all_is_weighed_by_ready_pods_and_a_share_by_itself() {
        assert_eq!(from_value(3, 3, 20_000, 10_000, EVEN).replicas, 6);
        assert_eq!(from_value(3, 3, 10_500, 10_000, EVEN).replicas, 3);
        assert_eq!(from_value(0, 0, 25_000, 10_000, EVEN).replicas, 3);
        let share = from_share(3, 95_000, 10_000, EVEN);
        assert_eq!((share.replicas, share.usage.average), (10, 31_667));
        assert_eq!(from_share(3, 31_000, 10_000, EVEN).replicas, 3);
    }
}

use super::*;
use crate::eviction::flags::{DEFAULT_HARD, Eviction};

const MIB: u64 = 1 << 20;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn stocks(free: &[(Signal, u64)]) -> Stocks {
    let all = 1000 * MIB;
    free.iter()
        .map(|(signal, free)| (*signal, Stock { free: *free, all }))
        .collect()
}

fn flags(hard: &str, soft: &str, grace: &str, reclaim: &str) -> Eviction {
    Eviction {
        hard: hard.parse().unwrap(),
        soft: soft.parse().unwrap(),
        soft_grace: grace.parse().unwrap(),
        minimum_reclaim: reclaim.parse().unwrap(),
        ..Eviction::default()
    }
}

fn signals(verdict: &Verdict) -> Vec<Signal> {
    verdict.due.iter().map(|rule| rule.signal).collect()
}

#[test]
fn each_signal_is_pressure_below_its_amount_only() {
    let cases = [
        (Signal::Memory, 100 * MIB, "memory"),
        (Signal::NodeFs, 100 * MIB, "disk"),
        (Signal::NodeFsInodes, 50 * MIB, "disk"),
        (Signal::ImageFs, 150 * MIB, "disk"),
        (Signal::ImageFsInodes, 50 * MIB, "disk"),
    ];
    for (signal, least, what) in cases {
        let look = |free| {
            let mut judge = Judge::new(flags(DEFAULT_HARD, "", "", "").rules(), secs(0));
            judge.judge(&stocks(&[(signal, free)]), Instant::now())
        };
        let low = look(least - 1);
        assert_eq!(signals(&low), [signal]);
        assert_eq!(low.pressure.memory, what == "memory", "{signal:?}");
        assert_eq!(low.pressure.disk, what == "disk", "{signal:?}");
        assert_eq!(look(least), Verdict::default(), "{signal:?}");
    }
}

#[test]
fn what_is_not_named_or_not_readable_is_no_pressure() {
    let now = Instant::now();
    let nothing = stocks(&Signal::ALL.map(|signal| (signal, 0)));
    let mut judge = Judge::new(flags("nodefs.available<1Gi", "", "", "").rules(), secs(0));
    assert_eq!(signals(&judge.judge(&nothing, now)), [Signal::NodeFs]);
    let mut judge = Judge::new(flags("", "", "", "").rules(), secs(0));
    assert_eq!(judge.judge(&nothing, now), Verdict::default());
    let mut judge = Judge::new(flags(DEFAULT_HARD, "", "", "").rules(), secs(0));
    assert_eq!(judge.judge(&Stocks::new(), now), Verdict::default());
}

#[test]
fn a_soft_threshold_is_told_at_once_and_due_after_its_grace() {
    let flags = flags("", "memory.available<200Mi", "memory.available=30s", "");
    let mut judge = Judge::new(flags.rules(), secs(0));
    let (start, low) = (Instant::now(), stocks(&[(Signal::Memory, 150 * MIB)]));
    let mut at = |seconds, stocks: &Stocks| judge.judge(stocks, start + secs(seconds));
    assert!(at(0, &low).pressure.memory);
    assert!(at(29, &low).due.is_empty());
    assert_eq!(at(30, &low).due.len(), 1);
    // A moment of plenty begins the wait anew.
    let plenty = stocks(&[(Signal::Memory, 200 * MIB)]);
    assert!(at(40, &plenty).due.is_empty());
    assert!(at(50, &low).due.is_empty());
    assert!(at(79, &low).due.is_empty());
    assert_eq!(at(80, &low).due.len(), 1);
}

#[test]
fn a_crossed_threshold_is_due_until_the_minimum_is_reclaimed() {
    let flags = flags("nodefs.available<100Mi", "", "", "nodefs.available=50Mi");
    let mut judge = Judge::new(flags.rules(), secs(0));
    let now = Instant::now();
    let mut due = |free| {
        let found = judge.judge(&stocks(&[(Signal::NodeFs, free * MIB)]), now);
        !found.due.is_empty()
    };
    let found = [120, 99, 120, 149, 150, 120].map(&mut due);
    assert_eq!(found, [false, true, true, true, false, false]);
}

#[test]
fn a_condition_stays_for_its_transition_period() {
    let mut judge = Judge::new(flags("pid.available<10%", "", "", "").rules(), secs(300));
    let start = Instant::now();
    let (low, plenty) = (
        stocks(&[(Signal::Processes, 0)]),
        stocks(&[(Signal::Processes, 900 * MIB)]),
    );
    let mut at = |seconds, stocks: &Stocks| judge.judge(stocks, start + secs(seconds));
    assert!(!at(0, &plenty).pressure.processes);
    assert!(at(10, &low).pressure.processes);
    let later = at(309, &plenty);
    assert!(later.pressure.processes && later.due.is_empty());
    assert!(!at(310, &plenty).pressure.processes);
}

#[test]
fn memory_is_relieved_first_and_processes_last() {
    let hard = "pid.available<10%,imagefs.available<10%,nodefs.available<10%,memory.available<10%";
    let mut judge = Judge::new(flags(hard, "", "", "").rules(), secs(0));
    let nothing = stocks(&Signal::ALL.map(|signal| (signal, 0)));
    let found = signals(&judge.judge(&nothing, Instant::now()));
    let expected = [
        Signal::Memory,
        Signal::NodeFs,
        Signal::ImageFs,
        Signal::Processes,
    ];
    assert_eq!(found, expected);
}

//! Cases, and playing a theme's table of them to a runtime.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::ground::{self, Ground, Skip};
use super::runtime::{self, Runtime};

/// How many cases of a theme run at once.
const AT_ONCE: usize = 2;

/// Whether only a part of what takes long is asked for, as on an emulated machine.
pub fn is_brief() -> bool {
    std::env::var_os("OCI_BRIEF").is_some()
}

pub struct Case {
    pub name: &'static str,
    pub run: fn(&Ground),
    /// Who does not do what the case expects, and why that is so.
    pub differs: &'static [(Runtime, &'static str)],
}

/// The table of a theme: `name;` or `name (Runc: "why it differs");` a line.
macro_rules! cases {
    ($($name:ident $(($($runtime:ident: $reason:literal),+ $(,)?))?;)*) => {
        pub const CASES: &[$crate::harness::Case] = &[$($crate::harness::Case {
            name: stringify!($name),
            run: $name,
            differs: &[$($(($crate::harness::Runtime::$runtime, $reason)),+)?],
        }),*];
    };
}
pub(crate) use cases;

enum End {
    Passed,
    Skipped(String),
    Failed(String),
}

/// Plays all cases; fails if one does. `OCI_CASE=part` plays those whose names have that part;
/// `OCI_ALL=1` those too of which it is known that the runtime differs.
pub fn play(runtime: Runtime, theme: &str, cases: &[Case]) {
    if !e2e::need::met(&["busybox"]) {
        return;
    }
    if runtime.program().is_none() {
        println!("skipped: {runtime:?} is not installed");
        return;
    }
    let _shared = ground::Shared::take();
    let wanted = std::env::var("OCI_CASE").unwrap_or_default();
    let cases: Vec<&Case> = cases
        .iter()
        .filter(|case| case.name.contains(&wanted))
        .collect();
    let started = Instant::now();
    let ends = play_all(runtime, &cases);
    report(runtime, theme, &cases, ends, started.elapsed());
}

fn play_all(runtime: Runtime, cases: &[&Case]) -> Vec<(usize, End, Duration)> {
    let next = AtomicUsize::new(0);
    let ends = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((index, case)) = take(&next, cases) {
                    let started = Instant::now();
                    let end = play_one(runtime, case);
                    ends.lock()
                        .expect("no holder panics")
                        .push((index, end, started.elapsed()));
                }
            });
        }
    });
    ends.into_inner().expect("no holder panics")
}

fn take<'c>(next: &AtomicUsize, cases: &[&'c Case]) -> Option<(usize, &'c Case)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    cases.get(index).map(|case| (index, *case))
}

/// Plays a case in a thread, and so with mounts, of its own.
fn play_one(runtime: Runtime, case: &Case) -> End {
    let differs = case.differs.iter().find(|(other, _)| *other == runtime);
    if let Some((_, reason)) = differs.filter(|_| std::env::var_os("OCI_ALL").is_none()) {
        return End::Skipped((*reason).to_owned());
    }
    let run = case.run;
    let thread = std::thread::Builder::new()
        .name(case.name.to_owned())
        .spawn(move || {
            runtime::take_own_mounts(runtime);
            let ground = Ground::new(runtime);
            let played = catch_unwind(AssertUnwindSafe(|| run(&ground)));
            let cleared = catch_unwind(AssertUnwindSafe(|| {
                ground.clear();
                ground.is_clean();
            }));
            ground.sweep();
            played.and(cleared)
        });
    match thread
        .expect("start a thread")
        .join()
        .and_then(|result| result)
    {
        Ok(()) => End::Passed,
        Err(payload) => ended_early(payload.as_ref()),
    }
}

fn ended_early(payload: &(dyn Any + Send)) -> End {
    if let Some(Skip(reason)) = payload.downcast_ref() {
        return End::Skipped((*reason).to_owned());
    }
    let text = payload.downcast_ref::<String>().cloned();
    let text = text.or_else(|| {
        payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
    });
    End::Failed(text.unwrap_or_else(|| "a panic without words".to_owned()))
}

fn report(
    runtime: Runtime,
    theme: &str,
    cases: &[&Case],
    ends: Vec<(usize, End, Duration)>,
    took: Duration,
) {
    let (mut passed, mut skipped, mut failed) = (0, 0, Vec::new());
    for (index, end, _) in &ends {
        let name = cases[*index].name;
        match end {
            End::Passed => passed += 1,
            End::Skipped(reason) => {
                skipped += 1;
                println!("  {name} is not for {runtime:?}: {reason}");
            }
            End::Failed(text) => failed.push(format!("{name}: {text}")),
        }
    }
    let slowest = ends.iter().max_by_key(|(_, _, took)| *took);
    let slowest = slowest.map(|(index, _, took)| format!("{} {took:.1?}", cases[*index].name));
    println!(
        "oci {theme} on {runtime:?}: {passed} passed, {skipped} not played, {} failed, in {took:.1?} (slowest: {})",
        failed.len(),
        slowest.unwrap_or_default(),
    );
    assert!(
        failed.is_empty(),
        "{} cases failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

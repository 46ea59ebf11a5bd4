//! How long a container takes, from the call of the runtime to its end.

use std::time::{Duration, Instant};

use super::Runtime;
use super::bundle::Bundle;

/// The first few fill caches.
const WARM_UP: usize = 5;
/// Of these many at the beginning and at the end the mean is told.
const ENDS: usize = 100;
/// What the first runtime may take of crun's time.
const GOAL: f64 = 2.0 / 3.0;

/// Runs `/bin/true` by each runtime, one after the other.
pub fn in_turns(runtimes: &[Runtime], rounds: usize, bundle: &Bundle) -> anyhow::Result<()> {
    let mut times = vec![Vec::new(); runtimes.len()];
    for round in 0..rounds + WARM_UP {
        for (runtime, times) in runtimes.iter().zip(&mut times) {
            let begin = Instant::now();
            runtime.call(bundle.path(), &["run", "--bundle", bundle.text(), "bench"])?;
            if round >= WARM_UP {
                times.push(begin.elapsed());
            }
        }
    }
    println!("\nrun of /bin/true, {rounds} rounds in turns, ms");
    println!("{:<16}{:>8}{:>8}{:>8}", "", "least", "median", "p95");
    for (runtime, times) in runtimes.iter().zip(&times) {
        let mut sorted = times.clone();
        sorted.sort();
        println!(
            "{:<16}{:>8.2}{:>8.2}{:>8.2}",
            runtime.name(),
            at(&sorted, 0),
            at(&sorted, 50),
            at(&sorted, 95)
        );
    }
    let (Some(own), others) = (times.first(), times.iter().skip(1)) else {
        return Ok(());
    };
    for (runtime, other) in runtimes.iter().skip(1).zip(others) {
        let name = runtime.name();
        let goal = match name.as_str() {
            "crun" => format!(" (goal {GOAL:.2})"),
            _ => String::new(),
        };
        let ratio = ratio(own, other);
        println!("of {name}'s time in the same round, by the median: {ratio:.2}{goal}");
    }
    Ok(())
}

/// Creates as many containers as there are to be at once, and deletes them.
pub fn many(runtimes: &[Runtime], count: usize, bundle: &Bundle) -> anyhow::Result<()> {
    println!("\n{count} containers at once, ms each: the first and the last {ENDS}");
    for runtime in runtimes {
        let created = each(count, |id| {
            runtime.call(bundle.path(), &["create", "--bundle", bundle.text(), id])
        });
        // Also those of a row that was cut short.
        let deleted = each(created.as_ref().map_or(count, Vec::len), |id| {
            runtime.call(bundle.path(), &["delete", "--force", id])
        });
        for (what, times) in [("create", created?), ("delete", deleted?)] {
            let ends = ENDS.min(times.len());
            println!(
                "{:<16}{what:<8}{:>8.2}{:>8.2}",
                runtime.name(),
                mean(&times[..ends]),
                mean(&times[times.len() - ends..])
            );
        }
    }
    Ok(())
}

fn each(
    count: usize,
    mut call: impl FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(count);
    let mut first_error = None;
    for number in 0..count {
        let begin = Instant::now();
        match call(&format!("bench-{number}")) {
            Ok(()) => times.push(begin.elapsed()),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    match first_error {
        None => Ok(times),
        Some(error) => Err(error),
    }
}

fn ratio(own: &[Duration], other: &[Duration]) -> f64 {
    let ratios = own.iter().zip(other);
    let mut ratios: Vec<f64> = ratios
        .map(|(own, other)| own.as_secs_f64() / other.as_secs_f64())
        .collect();
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN)
}

fn at(sorted: &[Duration], percent: usize) -> f64 {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).map_or(f64::NAN, |time| ms(*time))
}

fn mean(times: &[Duration]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let count = times.len() as f64;
    ms(times.iter().sum()) / count
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_compared_round_by_round() {
        let ms = |all: [u64; 3]| all.map(Duration::from_millis);
        let ratio = ratio(&ms([10, 20, 300]), &ms([20, 40, 400]));
        assert!((ratio - 0.5).abs() < 1e-9, "{ratio}");
    }
}

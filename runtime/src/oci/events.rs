//! `events`: what a container uses, now and then, and that it ran out of memory.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;
use serde::Serialize;

use super::context::Context;
use super::error::OrRefuse;
use super::flags::{Flag, Flags, switch, value};
use super::status::Found;
use super::{Refusal, Result, say};
use crate::cgroup::Group;

mod files;
mod oom;
mod stats;
mod v1;
mod v2;

use oom::Watch;
use stats::Stats;

pub const FLAGS: &[Flag] = &[
    value(&["interval"], "time", "how often, such as 5s"),
    switch(&["stats"], "print the use once, and exit"),
];

/// One line of the output, as runc prints it.
#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Stats>,
}

impl Event<'_> {
    fn print(&self) {
        say(serde_json::to_string(self).expect("an event has only string keys"));
    }
}

pub fn command(context: &Context, flags: &Flags) -> Result<u8> {
    let interval = interval(flags.value("interval").unwrap_or("5s"))?;
    let found = Found::look(&context.root, flags.id())?;
    if !found.status.is_alive() {
        let why = format!("container with id {} is not running", found.record.id);
        return Err(Refusal::Status(why));
    }
    let group = found.group()?;
    if flags.has("stats") {
        tell(&found.record.id, &group)?;
    } else {
        watch(&found, &group, interval)?;
    }
    Ok(0)
}

fn tell(id: &str, group: &Group) -> Result<()> {
    let event = Event {
        kind: "stats",
        id,
        data: Some(read(group)?),
    };
    event.print();
    Ok(())
}

fn read(group: &Group) -> Result<Stats> {
    // A group that is gone has no files, which would be read as no use.
    group.stats()?;
    Ok(match group.is_v2() {
        true => v2::read(group),
        false => v1::read(group),
    })
}

/// Prints until the container's first process ends.
fn watch(found: &Found, group: &Group, interval: Duration) -> Result<()> {
    let id = found.record.id.as_str();
    let init = found.init()?;
    let Ok(pidfd) = sys::process::pidfd_open(Pid::from_raw(init.pid)) else {
        return Ok(());
    };
    if !init.is_alive()? {
        return Ok(());
    }
    let mut oom = Watch::open(group).or_refuse(|| "watch for want of memory".into())?;
    let mut next = Instant::now() + interval;
    loop {
        let mut fds = vec![PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
        fds.extend(
            oom.iter()
                .map(|oom| PollFd::new(oom.as_fd(), PollFlags::POLLIN)),
        );
        match poll(&mut fds, until(next)) {
            Err(Errno::EINTR) => continue,
            polled => polled.or_refuse(|| "wait".into())?,
        };
        let has_ended = fds.first().is_some_and(|fd| fd.any().unwrap_or(true));
        if oom.as_mut().is_some_and(Watch::has_happened) {
            let event = Event {
                kind: "oom",
                id,
                data: None,
            };
            event.print();
        }
        if has_ended {
            return Ok(());
        }
        if Instant::now() >= next {
            match tell(id, group) {
                // Somebody has deleted it, which is its end too.
                Err(_) if is_gone(group) => return Ok(()),
                told => told?,
            }
            next = Instant::now() + interval;
        }
    }
}

fn is_gone(group: &Group) -> bool {
    group.directories().iter().all(|(_, dir)| !dir.exists())
}

/// Rounded up, lest the last millisecond is spent awake.
fn until(time: Instant) -> PollTimeout {
    let left = time.saturating_duration_since(Instant::now()) + Duration::from_micros(999);
    PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
}

/// Go's durations, as far as an interval goes.
fn interval(word: &str) -> Result<Duration> {
    let refused = || Refusal::Usage("duration interval must be greater than 0".into());
    let end = word
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .ok_or_else(refused)?;
    let number: f64 = word[..end].parse().map_err(|_| refused())?;
    let unit = match &word[end..] {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(refused()),
    };
    let interval = Duration::try_from_secs_f64(number * unit).map_err(|_| refused())?;
    if interval.is_zero() {
        return Err(refused());
    }
    Ok(interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_a_duration_of_go_and_more_than_nothing() {
        assert_eq!(interval("1.5s").unwrap(), Duration::from_millis(1500));
        assert_eq!(interval("100ms").unwrap(), Duration::from_millis(100));
        for word in ["", "5", "0s", "xs", "1y"] {
            assert!(interval(word).is_err(), "{word}");
        }
    }

    #[test]
    fn want_of_memory_is_told_without_data() {
        let event = Event {
            kind: "oom",
            id: "x",
            data: None,
        };
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(text, r#"{"type":"oom","id":"x"}"#);
    }
}

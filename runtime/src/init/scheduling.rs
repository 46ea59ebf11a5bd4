//! How the kernel is to run the process: scheduler, I/O priority, processors,
//! memory policy, personality.

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use oci_spec::runtime::{
    IOPriorityClass, LinuxMemoryPolicy, LinuxPersonality, LinuxPersonalityDomain,
    LinuxSchedulerFlag, LinuxSchedulerPolicy, MemoryPolicyFlagType, MemoryPolicyModeType, Process,
    Scheduler, Spec,
};
use sys::process::SchedulerAttributes;

use super::{Fault, OrFault};

/// While the process still may.
pub fn apply(process: &Process) -> Result<(), Fault> {
    if let Some(scheduler) = process.scheduler() {
        schedule(scheduler)?;
    }
    if let Some(priority) = process.io_priority() {
        let level = priority.priority();
        let class = match priority.class() {
            IOPriorityClass::IoprioClassRt => 1,
            IOPriorityClass::IoprioClassBe => 2,
            IOPriorityClass::IoprioClassIdle => 3,
        };
        let level = i32::try_from(level).ok().filter(|l| (0..8).contains(l));
        let level = level.ok_or_else(|| {
            Fault::Create(format!(
                "process.ioPriority.priority is {}: wanted 0 to 7",
                priority.priority()
            ))
        })?;
        sys::process::set_io_priority(class, level).or_fault(|| "set the I/O priority".into())?;
    }
    Ok(())
}

/// What the whole container has, and not only one process.
pub fn apply_to_all(spec: &Spec) -> Result<(), Fault> {
    let Some(linux) = spec.linux() else {
        return Ok(());
    };
    if let Some(policy) = linux.memory_policy() {
        set_memory_policy(policy)?;
    }
    linux.personality().as_ref().map_or(Ok(()), personality)
}

fn personality(wanted: &LinuxPersonality) -> Result<(), Fault> {
    if wanted.flags().as_ref().is_some_and(|f| !f.is_empty()) {
        return Err(Fault::Create(
            "linux.personality.flags: there are none that the spec defines".into(),
        ));
    }
    let domain = match wanted.domain() {
        LinuxPersonalityDomain::PerLinux => 0,
        LinuxPersonalityDomain::PerLinux32 => 0x0008,
    };
    sys::process::set_personality(domain).or_fault(|| "set the personality".into())
}

fn schedule(scheduler: &Scheduler) -> Result<(), Fault> {
    let policy = match scheduler.policy() {
        LinuxSchedulerPolicy::SchedOther => 0,
        LinuxSchedulerPolicy::SchedFifo => 1,
        LinuxSchedulerPolicy::SchedRr => 2,
        LinuxSchedulerPolicy::SchedBatch => 3,
        LinuxSchedulerPolicy::SchedIso => {
            return Err(Fault::Create(
                "process.scheduler: Linux has no SCHED_ISO".into(),
            ));
        }
        LinuxSchedulerPolicy::SchedIdle => 5,
        LinuxSchedulerPolicy::SchedDeadline => 6,
    };
    let bit = |flag: &LinuxSchedulerFlag| match flag {
        LinuxSchedulerFlag::SchedResetOnFork => 0x01,
        LinuxSchedulerFlag::SchedFlagReclaim => 0x02,
        LinuxSchedulerFlag::SchedFlagDLOverrun => 0x04,
        LinuxSchedulerFlag::SchedFlagKeepPolicy => 0x08,
        LinuxSchedulerFlag::SchedFlagKeepParams => 0x10,
        LinuxSchedulerFlag::SchedFlagUtilClampMin => 0x20,
        LinuxSchedulerFlag::SchedFlagUtilClampMax => 0x40,
    };
    let flags = scheduler.flags().iter().flatten();
    let priority = u32::try_from(scheduler.priority().unwrap_or(0));
    let attributes = SchedulerAttributes {
        policy,
        flags: flags.fold(0, |all, flag| all | bit(flag)),
        nice: scheduler.nice().unwrap_or(0),
        priority: priority.or_fault(|| "process.scheduler.priority".into())?,
        runtime: scheduler.runtime().unwrap_or(0),
        deadline: scheduler.deadline().unwrap_or(0),
        period: scheduler.period().unwrap_or(0),
    };
    sys::process::set_scheduler(&attributes)
        .or_fault(|| format!("set the scheduler {}", scheduler.policy()))
}

/// Runs the calling process on these processors only: `0-3,7`.
pub fn run_on(cpus: &str) -> Result<(), Fault> {
    let mut set = CpuSet::new();
    for cpu in numbers(cpus).or_fault(|| format!("execCPUAffinity {cpus:?}"))? {
        set.set(cpu)
            .or_fault(|| format!("execCPUAffinity {cpus:?}"))?;
    }
    sched_setaffinity(Pid::from_raw(0), &set).or_fault(|| format!("run on the CPUs {cpus:?}"))
}

fn set_memory_policy(policy: &LinuxMemoryPolicy) -> Result<(), Fault> {
    let mode = match policy.mode() {
        MemoryPolicyModeType::MpolDefault => 0,
        MemoryPolicyModeType::MpolPreferred => 1,
        MemoryPolicyModeType::MpolBind => 2,
        MemoryPolicyModeType::MpolInterleave => 3,
        MemoryPolicyModeType::MpolLocal => 4,
        MemoryPolicyModeType::MpolPreferredMany => 5,
        MemoryPolicyModeType::MpolWeightedInterleave => 6,
    };
    let bit = |flag: &MemoryPolicyFlagType| match flag {
        MemoryPolicyFlagType::MpolFStaticNodes => 1 << 15,
        MemoryPolicyFlagType::MpolFRelativeNodes => 1 << 14,
        MemoryPolicyFlagType::MpolFNumaBalancing => 1 << 13,
    };
    let flags = policy.flags().iter().flatten();
    let mode = flags.fold(mode, |all, flag| all | bit(flag));
    let nodes = policy.nodes().as_deref().unwrap_or_default();
    let nodes = numbers(nodes).or_fault(|| "linux.memoryPolicy.nodes".into())?;
    sys::process::set_memory_policy(mode, &nodes).or_fault(|| "set the memory policy".into())
}

/// A list of ranges, as the kernel writes cpusets; none beyond what it may have.
fn numbers(list: &str) -> Result<Vec<usize>, String> {
    const MAX: usize = 1024;
    let mut numbers = Vec::new();
    for range in list.split(',').map(str::trim).filter(|r| !r.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let number = |n: &str| n.trim().parse::<usize>().ok().filter(|n| *n < MAX);
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => numbers.extend(first..=last),
            _ => return Err(format!("{range:?} is no range of numbers below {MAX}")),
        }
        if numbers.len() > MAX {
            return Err(format!("more than {MAX} numbers"));
        }
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_the_kernel_writes_them() {
        assert_eq!(numbers("0-2,7, 9").unwrap(), [0, 1, 2, 7, 9]);
        assert_eq!(numbers("").unwrap(), [0; 0]);
        for list in ["a", "3-1", "-1", "0-99999999999", "1024", "0-1023,0-1023"] {
            assert!(numbers(list).is_err(), "{list}");
        }
    }
}

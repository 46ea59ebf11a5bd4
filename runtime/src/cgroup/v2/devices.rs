//! The device rules of a v2 group: a small program that the kernel asks.
//!
//! It sees `struct bpf_cgroup_dev_ctx`: type and access in one word, major,
//! minor. The last rule that is about the device and the access decides, as
//! with v1's files; what no rule is about is refused.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};
use sys::bpf::Instruction;

use crate::Result;
use crate::cgroup::failed;

pub fn apply(dir: &Path, rules: &[LinuxDeviceCgroup]) -> Result<()> {
    let attach = || {
        let program = sys::bpf::load_device_program(&program(rules))?;
        sys::bpf::attach_device_program(File::open(dir)?.as_fd(), program.as_fd())
    };
    attach().map_err(|e| failed("limit the devices of the cgroup", dir, e))
}

const TYPE: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 6;
const RESULT: u8 = 0;
const CONTEXT: u8 = 1;

const BLOCK: i32 = 1;
const CHARACTER: i32 = 2;
const ALL_ACCESS: i32 = 0b111;

fn program(rules: &[LinuxDeviceCgroup]) -> Vec<Instruction> {
    let mut program = vec![
        load(TYPE, 0),
        and(TYPE, 0xffff),
        load(ACCESS, 0),
        shift_right(ACCESS, 16),
        load(MAJOR, 4),
        load(MINOR, 8),
    ];
    for rule in rules.iter().rev() {
        let decision = decide(rule);
        let is_about_all = decision.len() == 2;
        program.extend(decision);
        if is_about_all {
            // Nothing after it can be reached, and the verifier wants everything to be.
            return program;
        }
    }
    program.extend([set(RESULT, 0), exit()]);
    program
}

/// Returns what the rule says, or goes on behind it where it is about something else.
fn decide(rule: &LinuxDeviceCgroup) -> Vec<Instruction> {
    let mut tests = Vec::new();
    let kind = match rule.typ().unwrap_or(LinuxDeviceType::A) {
        LinuxDeviceType::B => Some(BLOCK),
        LinuxDeviceType::C | LinuxDeviceType::U => Some(CHARACTER),
        _ => None,
    };
    tests.extend(kind.map(|kind| leave_unless_equal(TYPE, kind)));
    if kind.is_some() {
        tests.extend(number(rule.major()).map(|n| leave_unless_equal(MAJOR, n)));
        tests.extend(number(rule.minor()).map(|n| leave_unless_equal(MINOR, n)));
    }
    let access = access(rule);
    if access != ALL_ACCESS {
        // Allowed is what is covered altogether; refused, what is covered at all.
        let covered = if rule.allow() {
            !access & ALL_ACCESS
        } else {
            access
        };
        tests.extend([copy(SCRATCH, ACCESS), and(SCRATCH, covered)]);
        tests.push(if rule.allow() {
            leave_unless_equal(SCRATCH, 0)
        } else {
            leave_if_equal(SCRATCH, 0)
        });
    }
    tests.extend([set(RESULT, i32::from(rule.allow())), exit()]);
    aim(tests)
}

/// Points every jump behind the last instruction.
fn aim(mut block: Vec<Instruction>) -> Vec<Instruction> {
    let length = block.len();
    for (index, instruction) in block.iter_mut().enumerate() {
        if [JUMP_IF_EQUAL, JUMP_UNLESS_EQUAL].contains(&instruction.code) {
            instruction.offset =
                i16::try_from(length - index - 1).expect("a rule is ten instructions at most");
        }
    }
    block
}

fn number(number: Option<i64>) -> Option<i32> {
    number
        .filter(|n| *n >= 0)
        .and_then(|n| i32::try_from(n).ok())
}

fn access(rule: &LinuxDeviceCgroup) -> i32 {
    let letters = rule
        .access()
        .as_deref()
        .filter(|a| !a.is_empty())
        .unwrap_or("rwm");
    let bit = |letter| match letter {
        'm' => 0b001,
        'r' => 0b010,
        'w' => 0b100,
        _ => 0,
    };
    letters.chars().map(bit).fold(0, |all, bit| all | bit)
}

const JUMP_IF_EQUAL: u8 = 0x15;
const JUMP_UNLESS_EQUAL: u8 = 0x55;

fn instruction(code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction {
        code,
        registers: from << 4 | to,
        offset,
        immediate,
    }
}

fn load(to: u8, offset: i16) -> Instruction {
    instruction(0x61, to, CONTEXT, offset, 0)
}

fn and(to: u8, mask: i32) -> Instruction {
    instruction(0x57, to, 0, 0, mask)
}

fn shift_right(to: u8, bits: i32) -> Instruction {
    instruction(0x77, to, 0, 0, bits)
}

fn copy(to: u8, from: u8) -> Instruction {
    instruction(0xbf, to, from, 0, 0)
}

fn set(to: u8, value: i32) -> Instruction {
    instruction(0xb7, to, 0, 0, value)
}

fn leave_unless_equal(register: u8, value: i32) -> Instruction {
    instruction(JUMP_UNLESS_EQUAL, register, 0, 0, value)
}

fn leave_if_equal(register: u8, value: i32) -> Instruction {
    instruction(JUMP_IF_EQUAL, register, 0, 0, value)
}

fn exit() -> Instruction {
    instruction(0x95, 0, 0, 0, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program as the kernel would; the verifier sees to the rest.
    fn run(program: &[Instruction], kind: i32, access: i32, major: i32, minor: i32) -> i64 {
        let context = [
            i64::from(access << 16 | kind),
            i64::from(major),
            i64::from(minor),
        ];
        let (mut registers, mut next) = ([0i64; 11], 0);
        loop {
            let i = program[next];
            let (to, from) = (usize::from(i.registers & 15), usize::from(i.registers >> 4));
            next += 1;
            match i.code {
                0x61 => registers[to] = context[i.offset as usize / 4],
                0x57 => registers[to] &= i64::from(i.immediate),
                0x77 => registers[to] >>= i.immediate,
                0xbf => registers[to] = registers[from],
                0xb7 => registers[to] = i64::from(i.immediate),
                JUMP_UNLESS_EQUAL if registers[to] != i64::from(i.immediate) => {
                    next += i.offset as usize
                }
                JUMP_IF_EQUAL if registers[to] == i64::from(i.immediate) => {
                    next += i.offset as usize
                }
                JUMP_UNLESS_EQUAL | JUMP_IF_EQUAL => {}
                0x95 => return registers[0],
                code => panic!("instruction {code:#x}"),
            }
        }
    }

    const MAKE: i32 = 0b001;
    const READ: i32 = 0b010;

    #[test]
    fn the_default_rules_open_the_defaults_and_make_any() {
        let program = program(&crate::defaults::device_rules(&[]));
        let null = run(&program, CHARACTER, READ, 1, 3);
        let mem = run(&program, CHARACTER, READ, 1, 1);
        let pty = run(&program, CHARACTER, READ, 136, 77);
        let disk = run(&program, BLOCK, READ, 254, 0);
        let make = run(&program, BLOCK, MAKE, 254, 0);
        let both = run(&program, BLOCK, MAKE | READ, 254, 0);
        assert_eq!([null, mem, pty, disk, make, both], [1, 0, 1, 0, 1, 0]);
    }

    #[test]
    fn nothing_follows_a_rule_about_all_devices() {
        let program = program(&crate::defaults::device_rules(&[]));
        let (last, earlier) = program.split_last().unwrap();
        assert_eq!(*last, exit());
        let second_exit = |pair: &[Instruction]| pair[0] == exit() && pair[1] == set(RESULT, 0);
        assert_eq!(
            earlier.windows(2).filter(|pair| second_exit(pair)).count(),
            1
        );
    }

    #[test]
    fn a_privileged_container_opens_all() {
        let program = program(&[crate::defaults::all_devices_rule()]);
        assert_eq!(run(&program, BLOCK, READ, 254, 0), 1);
    }

    #[test]
    fn no_rule_at_all_allows_nothing() {
        assert_eq!(run(&program(&[]), CHARACTER, READ, 1, 3), 0);
    }
}

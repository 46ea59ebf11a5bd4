//! Playing a scenario: once as it is, then with a fault at a time.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::Instant;

use crate::fault::{Fault, Kind, Plan, TIME};
use crate::harness::{Bundle, Ground, Runtime, cgroups, ground, runtime};
use crate::remains;
use crate::scenario::{Scenario, rich};
use crate::strace::{self, Ended};

/// Plays `scenario` with the faults of the plan, in a thread, and so with mounts, of its own.
pub fn play(scenario: &Scenario, kind: Kind) {
    if !e2e::need::met(&["busybox", "strace"]) {
        return;
    }
    let _shared = ground::Shared::take();
    let troubles = std::thread::scope(|scope| {
        let played = scope.spawn(|| {
            runtime::take_own_mounts(Runtime::Skiff);
            let ground = Ground::new(Runtime::Skiff);
            let troubles = catch_unwind(AssertUnwindSafe(|| play_all(&ground, scenario, kind)));
            ground.clear();
            ground.sweep();
            troubles
        });
        played.join().expect("panics are caught")
    });
    let troubles = troubles.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    assert!(
        troubles.is_empty(),
        "{} faults:\n{}",
        troubles.len(),
        troubles.join("\n")
    );
}

fn play_all(ground: &Ground, scenario: &Scenario, kind: Kind) -> Vec<String> {
    let bundle = (scenario.bundle)(rich(ground.bundle()));
    bundle.write();
    let mut stage = Stage {
        scenario,
        files: remains::files_of(&bundle),
        bundle,
        expected: String::new(),
    };
    let usual = stage.usual();
    let plan = Plan::new(&usual.calls(), kind);
    let (started, all) = (Instant::now(), plan.faults.len());
    let (mut played, mut hit, mut troubles) = (0, 0, Vec::new());
    for fault in &plan.faults {
        if !plan.is_whole && started.elapsed() > TIME {
            break;
        }
        played += 1;
        match stage.with(fault) {
            Ok(was_hit) => hit += usize::from(was_hit),
            Err(trouble) => troubles.push(format!("{fault}: {trouble}")),
        }
    }
    let (name, seed) = (scenario.name, plan.seed);
    println!("{name}: {played} of {all} faults played, {hit} hit the runtime, FAULTS_SEED={seed}");
    let is_vacuous = played >= 10 && hit == 0;
    assert!(!is_vacuous, "strace has failed no call at all");
    troubles
}

struct Stage<'g> {
    scenario: &'g Scenario,
    bundle: Bundle<'g>,
    files: BTreeSet<PathBuf>,
    /// What comes of the call where nothing fails.
    expected: String,
}

impl Stage<'_> {
    /// The call without any fault.
    fn usual(&mut self) -> Ended {
        (self.scenario.before)(&self.bundle);
        let ended = self.call(None).expect("it ends");
        assert!(ended.succeeded(), "without a fault: {}", ended.told());
        self.expected = (self.scenario.result)(&self.bundle, &ended);
        self.delete().expect("without a fault");
        ended
    }

    /// The call with a fault; says whether it hit the runtime.
    fn with(&self, fault: &Fault) -> Result<bool, String> {
        let played = catch_unwind(AssertUnwindSafe(|| {
            (self.scenario.before)(&self.bundle);
            let ended = self.call(Some(fault))?;
            let judged = if fault.kills() {
                Ok(())
            } else {
                self.judge(&ended)
            };
            let deleted = self.delete();
            judged
                .and(deleted)
                .map_err(|why| format!("{why}\n    {}", ended.told()))?;
            Ok(ended.was_hit())
        }));
        let played = played.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| Some((*panic.downcast_ref::<&str>()?).to_owned()));
            Err(text.unwrap_or_else(|| "a check failed".to_owned()))
        });
        if played.is_err() {
            self.sweep();
        }
        played
    }

    fn call(&self, fault: Option<&Fault>) -> Result<Ended, String> {
        let mut command = self.bundle.ground.command();
        (self.scenario.call)(&self.bundle, &mut command);
        strace::run(&command, fault, &self.bundle.ground.dir)
    }

    fn judge(&self, ended: &Ended) -> Result<(), String> {
        let said = ended.complained();
        if said.contains("panicked") || !(ended.has_code() || ended.was_container_hit()) {
            return Err("a panic, or a signal".into());
        }
        let is_told = !said.trim().is_empty() || ended.was_silenced() || ended.was_container_hit();
        if !ended.succeeded() && !is_told {
            return Err("an error without words".into());
        }
        // Where undoing fails too, it says so.
        if !self.scenario.leaves.may(ended.succeeded()) && !said.contains("delete --force") {
            let left = remains::of(&self.bundle, &self.files);
            if !left.is_empty() {
                return Err(format!("it leaves {left:?}"));
            }
        }
        if !ended.succeeded() {
            (self.scenario.check_failed)(&self.bundle);
            return Ok(());
        }
        let result = (self.scenario.result)(&self.bundle, ended);
        if result == self.expected || ended.was_container_hit() {
            return Ok(());
        }
        Err(format!(
            "it is said to be done, but\n{}",
            difference(&self.expected, &result)
        ))
    }

    /// Deletes what is left, twice; nothing may be left then.
    fn delete(&self) -> Result<(), String> {
        // Not the runtime's to remove, in the caller's directory; nor what is to become it.
        for name in ["pid", ".pid"] {
            let _ = std::fs::remove_file(self.bundle.dir.join(name));
        }
        for _ in 0..2 {
            let mut delete = self.bundle.ground.command();
            delete.args(["delete", "--force", &self.bundle.id]);
            let ended = self.bundle.ground.end(&mut delete);
            if !ended.succeeded() || !ended.stderr.trim().is_empty() {
                return Err(format!("delete --force: {ended:?}"));
            }
        }
        match remains::of(&self.bundle, &self.files) {
            left if left.is_empty() => Ok(()),
            left => Err(format!("delete --force leaves {left:?}")),
        }
    }

    /// Removes by hand what the runtime left.
    fn sweep(&self) {
        cgroups::named(&self.bundle.id)
            .iter()
            .for_each(|group| cgroups::remove(group));
        let _ = std::fs::remove_dir_all(self.bundle.ground.root());
        let _ = std::fs::remove_file(self.bundle.dir.join("pid"));
    }
}

/// The lines that only one of them has.
fn difference(expected: &str, found: &str) -> String {
    let only = |sign: &str, one: &str, other: &str| {
        let lines = one
            .lines()
            .filter(|line| !other.lines().any(|o| o == *line));
        lines
            .map(|line| format!("    {sign}{line}\n"))
            .collect::<String>()
    };
    only("-", expected, found) + &only("+", found, expected)
}

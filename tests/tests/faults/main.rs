//! Nothing is left behind: each system call that the runtime makes fails in
//! turn, and the runtime is killed before each, by strace's injection into the
//! real program.
//!
//! After every one of these runs the runtime has ended, said why if it did not
//! do what was asked, and undone what it had done; what it says it did, it did.
//!
//! Thousands of runs take minutes, so a test plays what fits into some seconds,
//! in an order that is another each time. `FAULTS=all` plays all of them, `FAULTS=ENOMEM`
//! all with that error, `FAULTS=mount:3:ENOMEM` (or `mount:3:KILL`) one, `FAULTS_SEED=n`
//! an order again.

mod fault;
mod play;
mod remains;
mod scenario;
mod strace;

#[path = "../oci/harness"]
#[expect(dead_code, reason = "the suite of the runtime uses the rest")]
mod harness {
    pub mod bundle;
    pub mod cgroups;
    pub mod ground;
    pub mod outcome;
    pub mod rootfs;
    pub mod runtime;

    pub use bundle::Bundle;
    pub use ground::Ground;
    pub use outcome::Outcome;
    pub use runtime::Runtime;
}

macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        mod failing {
            $(#[test]
            fn $name() {
                crate::play::play(&crate::scenario::$name(), crate::fault::Kind::Error);
            })*
        }
        mod killed {
            $(#[test]
            fn $name() {
                crate::play::play(&crate::scenario::$name(), crate::fault::Kind::Kill);
            })*
        }
    };
}

scenarios!(
    create,
    delete,
    exec,
    exec_detached,
    run,
    run_in_a_user_namespace,
    start
);
